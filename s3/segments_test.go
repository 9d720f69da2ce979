package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// segment makes the i-th segment of a node, with a value of so many bytes.
func segment(t testing.TB, node string, i, size int) (*snapshot.SealedSegment, []byte) {
	t.Helper()
	_, data := storetest.Segment(t, storetest.SegmentOf{
		Node: node, Cluster: 1, Begun: time.Date(2026, 11, 21, 0, 0, 30*i, 0, time.UTC), First: int64(i + 1), Last: int64(i + 1), Value: string(noise(size)),
	})
	s, err := snapshot.OpenSealedSegment(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	return s, data
}

func wantSegment(t testing.TB, b *s3.Bucket, n snapshot.SegmentName, data []byte) {
	t.Helper()
	r, size, err := b.GetSegment(t.Context(), n)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(t, err)
	if size != int64(len(data)) || !bytes.Equal(got, data) {
		t.Errorf("get %s: %d other bytes than the %d that were put", n, len(got), len(data))
	}
}

// A segment in several parts is compared as one in a single request is: a flipped bit never gets its name.
func TestSegmentsOfAnySizeAreVerified(t *testing.T) {
	t.Parallel()
	b, _ := bed(t, server.Target)
	for i, size := range []int{10, part + 1000} {
		s, data := segment(t, "node-a", i, size)
		damaged := slices.Clone(data)
		damaged[20] ^= 1
		bad, err := snapshot.OpenSealedSegment(bytes.NewReader(damaged), int64(len(data)))
		must(t, err)
		if err := b.PutSegment(t.Context(), bad, false); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := b.Sealed(t.Context(), s.Name); !errors.Is(err, snapshot.ErrNotFound) {
			t.Errorf("%d bytes: %v", size, err)
		}
		must(t, b.PutSegment(t.Context(), s, false))
		wantSegment(t, b, s.Name, data)
		if sealed, err := b.Sealed(t.Context(), s.Name); err != nil || sealed.Name != s.Name || sealed.Cluster != 1 {
			t.Errorf("%+v, %v", sealed, err)
		}
	}
}

func TestSegmentUnderATakenNameIsRefused(t *testing.T) {
	t.Parallel()
	b, _ := bed(t, server.Target)
	s, _ := segment(t, "node-a", 0, 10)
	other, otherData := segment(t, "node-a", 0, 11)
	must(t, b.PutSegment(t.Context(), other, false))
	wantError(t, b.PutSegment(t.Context(), s, false), snapshot.ErrExists)
	wantSegment(t, b, s.Name, otherData)
}

// Thousands of segments cost a listing of snapshots nothing, and a walk over all folders one page for each folder.
func TestListingsDoNotReadOtherNodesSegments(t *testing.T) {
	t.Parallel()
	b, faults, c := shared(t)
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("backups/journal/journal_node-b_20261121T000000Z_%d-%d.jnl.zst", i+1, i+1))
	}
	s3test.PutMany(t, faults.Target, c.Bucket, []byte("x"), keys...)
	mine := rolling(t, 0)
	put(t, b, mine, []byte("x"))
	s, _ := segment(t, "node-a", 0, 10)
	must(t, b.PutSegment(t.Context(), s, false))
	requests := func(do func()) int {
		before := len(faults.Requests())
		do()
		return len(faults.Requests()) - before
	}
	if n := requests(func() { wantList(t, b, mine) }); n != 1 {
		t.Errorf("a listing of all snapshots takes %d requests", n)
	}
	if n := requests(func() {
		all, _, err := b.ListNodes(t.Context(), []string{"node-a"})
		must(t, err)
		if len(all) != 1 {
			t.Errorf("listed are %v", all)
		}
	}); n != 1 {
		t.Errorf("a listing of one node takes %d requests", n)
	}
	if n := requests(func() {
		all, err := b.ListSegments(t.Context(), []string{"node-a"})
		must(t, err)
		if len(all) != 1 || all[0].Name != s.Name {
			t.Errorf("listed are %v", all)
		}
	}); n != 1 {
		t.Errorf("a listing of a node's segments takes %d requests", n)
	}
	all, err := b.ListSegments(t.Context(), nil)
	must(t, err)
	if len(all) != 2501 {
		t.Errorf("%d segments", len(all))
	}
	var found []s3.Found
	n := requests(func() {
		must(t, b.Walk(t.Context(), func() { found = nil }, func(f s3.Found) { found = append(found, f) }))
	})
	if n != 2 || len(found) != 1 || found[0].Name != mine {
		t.Errorf("a walk takes %d requests and finds %v", n, found)
	}
	must(t, b.Remove(t.Context(), mine))
	if folders, err := b.Folders(t.Context()); err != nil || len(folders) > 0 {
		t.Errorf("folders %q, %v", folders, err)
	}
}

// Keys that may list the folder only as a whole find the segments too.
func TestSegmentsAreListedWithRightsOnTheWholeFolder(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	s, _ := segment(t, "node-a", 0, 10)
	must(t, b.PutSegment(t.Context(), s, false))
	put(t, b, rolling(t, 0), []byte("x"))
	faults.Set(s3test.When(prefixed, s3test.Refuse(403, "AccessDenied")))
	all, err := b.ListSegments(t.Context(), []string{"node-a"})
	if err != nil || len(all) != 1 || all[0].Name != s.Name {
		t.Errorf("%v, %v", all, err)
	}
}

func TestLockedSegmentIsNotRemoved(t *testing.T) {
	t.Parallel()
	c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{ObjectLock: true}))
	c.LockFor, c.LockMode = time.Hour, "governance"
	b := open(t, c)
	s, data := segment(t, "node-a", 0, 10)
	must(t, b.PutSegment(t.Context(), s, false))
	wantError(t, b.RemoveSegment(t.Context(), s.Name), s3.ErrLocked, "until")
	wantSegment(t, b, s.Name, data)
	info, err := s3test.Dial(t, server.Target).StatObject(t.Context(), c.Bucket, "backups/journal/"+s.Name.String(), minio.StatObjectOptions{})
	must(t, err)
	if info.Metadata.Get("X-Amz-Object-Lock-Mode") != "GOVERNANCE" {
		t.Errorf("%v", info.Metadata)
	}
}

// prefixed matches listings of less than the folder.
func prefixed(r *http.Request) bool {
	p := r.URL.Query().Get("prefix")
	return p != "" && p != "backups/"
}

// A stolen key deletes one segment and overwrites another. Their first versions are found.
func TestDeletedAndOverwrittenSegmentsAreFound(t *testing.T) {
	t.Parallel()
	c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true}))
	b := open(t, c)
	kept, keptData := segment(t, "node-a", 0, 10)
	deleted, deletedData := segment(t, "node-a", 1, 11)
	overwritten, overwrittenData := segment(t, "node-a", 2, 12)
	for _, s := range []*snapshot.SealedSegment{kept, deleted, overwritten} {
		must(t, b.PutSegment(t.Context(), s, false))
	}
	must(t, b.RemoveSegment(t.Context(), deleted.Name))
	_, err := s3test.Dial(t, server.Target).PutObject(t.Context(), c.Bucket, "backups/journal/"+overwritten.Name.String(), bytes.NewReader([]byte("x")), 1, minio.PutObjectOptions{})
	must(t, err)
	c.Versions = true
	b = open(t, c)
	all, err := b.ListSegments(t.Context(), []string{"node-a"})
	must(t, err)
	if len(all) != 3 {
		t.Fatalf("listed are %v", all)
	}
	wantSegment(t, b, kept.Name, keptData)
	wantSegment(t, b, deleted.Name, deletedData)
	wantSegment(t, b, overwritten.Name, overwrittenData)
}
