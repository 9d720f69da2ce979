package service

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

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
	if len(l.Snapshots) != 3 || len(l.Foreign)+len(l.Partials) > 0 {
		t.Errorf("on the disk are %+v", l)
	}
}

// wantBases demands the newest snapshot and those that the journal needs: the one from before the horizon, and one in each seventh of its time.
func wantBases(t *testing.T, b *segmentBed) {
	t.Helper()
	bucket, err := s3.Open(*b.bucket)
	must(t, err)
	defer bucket.Close()
	all, err := bucket.List(t.Context())
	must(t, err)
	if len(all) != 3 {
		t.Fatalf("snapshots in the bucket: %v", all)
	}
	for i, hour := range []time.Duration{9, 8, 7} {
		if !all[i].Name.Time.Equal(b.now.Add(hour * time.Hour)) {
			t.Errorf("snapshots in the bucket: %v", all)
		}
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
