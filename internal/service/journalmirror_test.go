package service

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// What continues the newest snapshot goes first, in order, and then what continues the one before it.
func TestSegmentsOfTheNewestSnapshotAreUploadedFirst(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	h0, h1, h2 := b.hour(t), b.hour(t), b.hour(t)
	_, up, err := b.mirror(t, 10)
	must(t, err)
	wantSegments(t, "sent", b.puts(0), texts(h2, h1, h0)...)
	wantSegments(t, "stored", b.stored(t), texts(h0, h1, h2)...)
	j := b.status.State().Journal
	if len(up.Segments) != 6 || up.Pending != 0 || j.Waiting != (status.Waiting{Known: true}) || j.Bucket.Revision != 301 || len(j.Bucket.Ranges) != 1 || j.Bucket.Bytes == 0 {
		t.Errorf("%+v; %+v", up, j)
	}
	if want := b.now.Add(2*time.Hour + 30*time.Minute + 49*time.Second); !j.Bucket.At.Equal(want) || !j.Bucket.Ranges[0].To.Equal(want) || !j.Bucket.Ranges[0].From.Equal(b.now) {
		t.Errorf("the times are %+v, want the last one at %v", j.Bucket, want)
	}
	// A new segment takes no listing: HEAD, PUT, HEAD.
	before := len(b.faults.Requests())
	h3 := b.hour(t)
	_, err = MirrorSegments(t.Context(), b.bucket, b.dir, b.options(10).Journal)
	must(t, err)
	if n := len(b.faults.Requests()) - before; n != 6 {
		t.Errorf("two segments took %d requests: %v", n, b.faults.Requests()[before:])
	}
	wantSegments(t, "sent", b.puts(before), texts(h3)...)
}

func TestSegmentsArriveAfterALongOutageAndARestart(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	h0 := b.hour(t)
	_, _, err := b.mirror(t, 10)
	must(t, err)
	h1, h2 := b.hour(t), b.hour(t)
	b.faults.Set(s3test.Refuse(http.StatusForbidden, "AccessDenied"))
	up, err := MirrorSegments(t.Context(), b.bucket, b.dir, b.options(10).Journal)
	if w := b.status.State().Journal.Waiting; err == nil || up.Pending != 4 || w.Segments != 4 || w.Bytes != up.Bytes {
		t.Errorf("%+v, %v; %+v", up, err, w)
	}
	h3 := b.hour(t)
	up, err = MirrorSegments(t.Context(), b.bucket, b.dir, b.options(10).Journal) // the bucket can't be listed either
	if w := b.status.State().Journal.Waiting; err == nil || up.Pending != 6 || w.Segments != 6 || w.Bytes != b.size(t, slices.Concat(h1, h2, h3)) {
		t.Errorf("%+v, %v; %+v", up, err, w)
	}
	b.faults.Set(nil)
	b.known = &mirror.Segments{} // a new process knows nothing
	before := len(b.faults.Requests())
	_, up, err = b.mirror(t, 10)
	must(t, err)
	wantSegments(t, "sent", b.puts(before), texts(h3, h2, h1)...)
	wantSegments(t, "stored", b.stored(t), texts(h0, h1, h2, h3)...)
	if up.Pending != 0 || b.status.State().Journal.Waiting != (status.Waiting{Known: true}) {
		t.Errorf("%+v", up)
	}
}

// What has the name of a segment and is none stays as it is. The others are uploaded, and the problem is reported.
func TestObjectWithTheNameOfASegmentIsNotOverwritten(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	h0 := b.hour(t)
	other := []byte("somebody else's")
	key := b.bucket.Folder + "/journal/" + h0[0].String()
	client := s3test.Dial(t, b.faults.Target)
	_, err := client.PutObject(t.Context(), b.bucket.Bucket, key, bytes.NewReader(other), int64(len(other)), minio.PutObjectOptions{})
	must(t, err)
	_, up, err := b.mirror(t, 10)
	if !errors.Is(err, snapshot.ErrExists) || up.Pending != 1 || !slices.Equal(up.Segments, h0[1:]) {
		t.Errorf("%+v, %v", up, err)
	}
	if again, err := MirrorSegments(t.Context(), b.bucket, b.dir, b.options(10).Journal); !errors.Is(err, snapshot.ErrExists) || again.Pending != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if info, err := client.StatObject(t.Context(), b.bucket.Bucket, key, minio.StatObjectOptions{}); err != nil || info.Size != int64(len(other)) {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestDamagedSegmentIsNotUploaded(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	h0, h1 := b.hour(t), b.hour(t)
	path := filepath.Join(b.dir.Path(), h1[0].String())
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/4] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
	_, up, err := b.mirror(t, 10)
	if !errors.Is(err, snapshot.ErrDamaged) || up.Pending != 1 {
		t.Errorf("%+v, %v", up, err)
	}
	wantSegments(t, "stored", b.stored(t), texts(h0, h1[1:])...)
}

// Where nothing may be removed, all segments are uploaded and stay.
func TestSegmentsStayInAnAppendOnlyBucket(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	b.bucket.AppendOnly = true
	var hours [][]snapshot.SegmentName
	for range 4 {
		hours = append(hours, b.hour(t))
	}
	b.keep = time.Minute
	for range 2 {
		_, up, err := b.mirror(t, retention.Unlimited)
		must(t, err)
		if up.Pending != 0 {
			t.Errorf("%+v", up)
		}
	}
	wantSegments(t, "stored", b.stored(t), texts(hours...)...)
	for _, r := range b.faults.Requests() {
		if r.Method == http.MethodDelete || r.Method == http.MethodPost {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}
