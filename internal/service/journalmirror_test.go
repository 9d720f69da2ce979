package service

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// segmentBed is a node with a journal of some hours: each hour a snapshot, and two segments with 50 revisions each.
type segmentBed struct {
	*costBed
	node    string
	cluster snapshot.ID
	lineage snapshot.Lineage
	keep    time.Duration
	hours   int
	now     time.Time
}

func newSegmentBed(t *testing.T, node string, cluster snapshot.ID) *segmentBed {
	t.Helper()
	return &segmentBed{
		costBed: newCostBed(t), node: node, cluster: cluster, lineage: snapshot.Lineage{Cluster: cluster}, keep: 7 * 24 * time.Hour,
		now: time.Now().UTC().Truncate(time.Hour).Add(-10 * time.Hour),
	}
}

// neighbor is another node in the same folder.
func (b *segmentBed) neighbor(t *testing.T, node string, cluster snapshot.ID) *segmentBed {
	t.Helper()
	o := &segmentBed{costBed: &costBed{faults: b.faults, bucket: b.bucket, known: &mirror.Segments{}}, node: node, cluster: cluster, lineage: snapshot.Lineage{Cluster: cluster}, keep: b.keep, now: b.now}
	o.dir, o.status = snapshot.NewDir(filepath.Join(t.TempDir(), "store")), status.New(status.Options{Mirror: true})
	must(t, o.dir.Prepare())
	return o
}

// hour records one more.
func (b *segmentBed) hour(t *testing.T) (names []snapshot.SegmentName) {
	t.Helper()
	first, at := int64(100*b.hours+2), b.now.Add(time.Duration(b.hours)*time.Hour)
	n, err := snapshot.NewName(snapshot.RollingSet, b.node, at)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.dir.Path(), n.String()), storetest.ArchiveAt(t, n, b.cluster, first-1), 0o600))
	for i := range int64(2) {
		of := storetest.SegmentOf{
			Node: b.node, Cluster: b.cluster, Begun: at.Add(time.Duration(i) * 30 * time.Minute), First: first + 50*i, Last: first + 50*i + 49,
			Value: fmt.Sprintf("%s of %s", b.node, b.cluster),
		}
		s, data := storetest.Segment(t, of)
		must(t, os.WriteFile(filepath.Join(b.dir.Path(), s.String()), data, 0o600))
		names = append(names, s)
	}
	b.hours++
	return names
}

func (b *segmentBed) options(last int) mirror.Options {
	o := MirrorOptions(config.Config{
		Store: config.Store{Node: b.node}, S3: b.bucket, Mirror: config.Mirror{Policy: retention.Policy{Last: last}}, Journal: config.Journal{On: true, Keep: b.keep},
	})
	o.Status, o.Lineage = b.status, func() snapshot.Lineage { return b.lineage }
	o.Journal.Status, o.Journal.Known = b.status, b.known
	return o
}

// look lets the status know the snapshots on the disk, as the daemon does.
func (b *segmentBed) look(t *testing.T) {
	t.Helper()
	l, err := b.dir.List()
	must(t, err)
	var copies []status.Copy
	for _, e := range l.Snapshots {
		m, err := b.dir.Manifest(e.Name)
		must(t, err)
		copies = append(copies, status.Copy{Name: e.Name, Size: e.Size, Modified: e.Modified, Facts: m.Facts()})
	}
	b.status.SetInventory(status.Local, copies, nil)
}

// mirror does a pass and then uploads segments.
func (b *segmentBed) mirror(t *testing.T, last int) (mirror.Result, mirror.Uploaded, error) {
	t.Helper()
	b.look(t)
	o := b.options(last)
	done, err := MirrorOnce(t.Context(), b.bucket, b.dir, o)
	if err != nil {
		return done, mirror.Uploaded{}, err
	}
	up, err := MirrorSegments(t.Context(), b.bucket, b.dir, o.Journal)
	return done, up, err
}

// stored returns the names of the node's segments in the bucket.
func (b *segmentBed) stored(t *testing.T) (out []string) {
	t.Helper()
	bucket, err := s3.Open(*b.bucket)
	must(t, err)
	defer bucket.Close()
	all, err := bucket.ListSegments(t.Context(), []string{b.node})
	must(t, err)
	for _, e := range all {
		out = append(out, e.Name.String())
	}
	return out
}

// size is that of segments on the disk, in bytes.
func (b *segmentBed) size(t *testing.T, names []snapshot.SegmentName) (bytes int64) {
	t.Helper()
	for _, n := range names {
		info, err := os.Stat(filepath.Join(b.dir.Path(), n.String()))
		must(t, err)
		bytes += info.Size()
	}
	return bytes
}

func texts(all ...[]snapshot.SegmentName) (out []string) {
	for _, n := range slices.Concat(all...) {
		out = append(out, n.String())
	}
	return out
}

func wantSegments(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

// puts returns the segments that were sent, in order.
func (b *segmentBed) puts(from int) (out []string) {
	for _, r := range b.faults.Requests()[from:] {
		if r.Method == http.MethodPut && strings.Contains(r.Path, "/journal/") {
			out = append(out, filepath.Base(r.Path))
		}
	}
	return out
}

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

// Both places keep the snapshot before the horizon and all that follows it. What they remove is not uploaded again.
func TestJournalIsPrunedInBothPlaces(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	var hours [][]snapshot.SegmentName
	for range 10 {
		hours = append(hours, b.hour(t))
	}
	_, _, err := b.mirror(t, 10)
	must(t, err)
	b.keep = 3*time.Hour + time.Since(b.now.Add(10*time.Hour)) // 3:00 before the last hour: at 7:00
	for range 2 {
		done, up, err := b.mirror(t, 1)
		must(t, err)
		if len(up.Segments) != 0 {
			t.Errorf("uploaded again: %v", up.Segments)
		}
		_ = done
	}
	want := texts(hours[7:]...)
	wantSegments(t, "in the bucket", b.stored(t), want...)
	wantBases(t, b)
	scope := prune.Scope{Node: "n1", Lineage: b.lineage, Policy: retention.Policy{Last: 1}, Journal: prune.Journal{Keep: b.keep}}
	for _, dryRun := range []bool{true, false, false} {
		_, err := prune.Local(t.Context(), b.dir, scope, time.Now(), prune.StoreDetails(b.dir), dryRun)
		must(t, err)
		_, err = prune.LocalSegments(t.Context(), b.dir, b.dir, scope, time.Now(), prune.StoreDetails(b.dir), dryRun)
		must(t, err)
	}
	l, err := b.dir.List()
	must(t, err)
	var here []string
	for _, e := range l.Segments {
		here = append(here, e.Name.String())
	}
	wantSegments(t, "on the disk", here, want...)
	if len(l.Snapshots) != 2 || len(l.Foreign)+len(l.Partials) > 0 {
		t.Errorf("on the disk are %+v", l)
	}
}

// wantBases demands the newest snapshot and the one that the journal needs.
func wantBases(t *testing.T, b *segmentBed) {
	t.Helper()
	bucket, err := s3.Open(*b.bucket)
	must(t, err)
	defer bucket.Close()
	all, err := bucket.List(t.Context())
	must(t, err)
	if len(all) != 2 || !all[0].Name.Time.Equal(b.now.Add(9*time.Hour)) || !all[1].Name.Time.Equal(b.now.Add(7*time.Hour)) {
		t.Errorf("snapshots in the bucket: %v", all)
	}
}

func TestJournalsOfTwoNodesInOneFolderAreApart(t *testing.T) {
	a := newSegmentBed(t, "n1", 1)
	b := a.neighbor(t, "n1-b", 1)
	var ofA, ofB [][]snapshot.SegmentName
	for range 4 {
		ofA, ofB = append(ofA, a.hour(t)), append(ofB, b.hour(t))
	}
	for _, x := range []*segmentBed{a, b} {
		_, _, err := x.mirror(t, 10)
		must(t, err)
	}
	a.keep = time.Minute
	_, _, err := a.mirror(t, 1)
	must(t, err)
	wantSegments(t, "of the one", a.stored(t), texts(ofA[3])...)
	wantSegments(t, "of the other", b.stored(t), texts(ofB...)...)
}

// Two clusters use one folder and one node name. Neither removes what is the other's.
func TestSegmentsOfAnotherClusterStay(t *testing.T) {
	a := newSegmentBed(t, "n1", 1)
	b := a.neighbor(t, "n1", 2)
	b.now = a.now.Add(7 * time.Minute)
	var ofB [][]snapshot.SegmentName
	for range 4 {
		a.hour(t)
		ofB = append(ofB, b.hour(t))
	}
	for _, x := range []*segmentBed{a, b} {
		_, _, err := x.mirror(t, 10)
		must(t, err)
	}
	a.keep = time.Minute
	_, _, err := a.mirror(t, 1)
	must(t, err)
	left := a.stored(t)
	for _, n := range texts(ofB...) {
		if !slices.Contains(left, n) {
			t.Errorf("%s is gone", n)
		}
	}
	if len(left) == 16 {
		t.Error("nothing of the own cluster was removed")
	}
	before := len(a.faults.Requests())
	_, _, err = a.mirror(t, 1)
	must(t, err)
	for _, r := range a.faults.Requests()[before:] {
		if r.Method == http.MethodGet && strings.Contains(r.Path, "/journal/") {
			t.Errorf("the next pass has read %s again", r.Path)
		}
	}
}

// While the cluster of the node is not known, nothing is removed.
func TestJournalOfAnUnknownClusterStays(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	for range 4 {
		b.hour(t)
	}
	_, _, err := b.mirror(t, 10)
	must(t, err)
	b.keep, b.lineage = time.Minute, snapshot.Lineage{}
	_, _, err = b.mirror(t, 1)
	must(t, err)
	if n := len(b.stored(t)); n != 8 {
		t.Errorf("%d of 8 are left", n)
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

// Segments under Object Lock stay, and that is no failure. The next snapshot does not wait until all of them were tried.
func TestLockedSegmentsAreNoFailure(t *testing.T) {
	b := newSegmentBed(t, "n1", 1)
	b.bucket.Bucket = s3test.Bucket(t, b.faults.Target, s3test.BucketOptions{ObjectLock: true})
	b.bucket.LockFor, b.bucket.LockMode = time.Hour, "governance"
	for range 6 {
		b.hour(t)
	}
	_, _, err := b.mirror(t, 10)
	must(t, err)
	b.keep = time.Minute
	done, _, err := b.mirror(t, 1)
	must(t, err)
	if len(done.Segments) != 0 || done.Locked == 0 || len(b.stored(t)) != 12 {
		t.Errorf("%+v, left %v", done, b.stored(t))
	}
}
