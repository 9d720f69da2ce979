package status_test

import (
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// After a restore to an earlier revision, S3 has higher revisions than the journal, of before. They are no copy of what is recorded now.
func TestSegmentsFromBeforeARestoreDoNotCountAsMirrored(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	base := statustest.History(noon)[0]
	segment := func(begun time.Time, first, last int64) snapshot.SegmentEntry {
		n, err := snapshot.NewSegmentName("node-a", begun, first, last)
		if err != nil {
			t.Fatal(err)
		}
		return snapshot.SegmentEntry{Name: n, Size: 1}
	}
	ends := func(n snapshot.SegmentName) time.Time { return n.Time.Add(30 * time.Second) }
	old := segment(noon.Add(-2*time.Hour), base.Revision-100, base.Revision+5000)
	tr.SetSegments(status.S3, []snapshot.SegmentEntry{old}, ends)
	recorded := now.Add(-10 * time.Second)
	tr.SetJournal(func(j *status.Journal) {
		j.On, j.Running, j.Revision, j.At, j.Confirmed = true, true, base.Revision+20, recorded, now
	})
	if r, _ := tr.State().Journaled(status.S3, now); r > base.Revision || !tr.State().Journal.Mirrored.IsZero() {
		t.Errorf("S3 has revision %d, and all until %s", r, tr.State().Journal.Mirrored)
	}
	tr.SetSegments(status.S3, []snapshot.SegmentEntry{old, segment(now.Add(-time.Minute), base.Revision+1, base.Revision+20)}, ends)
	if r, _ := tr.State().Journaled(status.S3, now); r != base.Revision+20 || !tr.State().Journal.Mirrored.Equal(now) {
		t.Errorf("with the segment of now: S3 has revision %d, and all until %s", r, tr.State().Journal.Mirrored)
	}
}

// What a clock that was ahead has dated in the future, or received then, is neither the newest nor until when S3 has everything.
func TestClockThatWasAheadHidesNoLateMirror(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	now = noon.AddDate(1, 0, 0)
	base := statustest.History(noon)[0]
	entry := func(begun time.Time, first, last int64) snapshot.SegmentEntry {
		n, err := snapshot.NewSegmentName("node-a", begun, first, last)
		if err != nil {
			t.Fatal(err)
		}
		return snapshot.SegmentEntry{Name: n, Size: 1}
	}
	ends := func(n snapshot.SegmentName) time.Time { return n.Time.Add(30 * time.Second) }
	recorded := func(revision int64) {
		tr.SetJournal(func(j *status.Journal) {
			j.On, j.Running, j.Segment, j.Revision, j.At, j.Confirmed = true, true, 30*time.Second, revision, now, now
		})
	}
	all := []snapshot.SegmentEntry{entry(now.Add(-time.Minute), base.Revision+1, base.Revision+20)}
	recorded(base.Revision + 20)
	tr.SetSegments(status.S3, all, ends)

	now = noon // the clock is right again, and S3 gets one more segment
	recorded(base.Revision + 30)
	all = append(all, entry(now.Add(-30*time.Second), base.Revision+21, base.Revision+30))
	tr.SetSegments(status.S3, all, ends)
	if r, _ := tr.State().Journaled(status.S3, now); r != base.Revision+30 {
		t.Errorf("S3 has revision %d, want %d", r, base.Revision+30)
	}
	for _, p := range status.Places() {
		if at := tr.State().RecoveryPoint(p, now); !at.Equal(now) {
			t.Errorf("the recovery point of %s is %s, want %s", p, at, now)
		}
	}
	wantCodes(t, "once the clock is right", tr)
	now = now.Add(45 * time.Minute)
	recorded(base.Revision + 40)
	wantCodes(t, "while S3 gets nothing", tr, status.CodeJournalMirrorBehind)
}
