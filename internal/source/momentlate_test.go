package source

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// late writes a segment that was received late.
func (b *momentBed) late(after time.Duration, first, last int64) (path string) {
	b.Helper()
	n, data := storetest.Segment(b, storetest.SegmentOf{Node: "n1", Cluster: newCluster, Begun: b.base.Time.Add(after), First: first, Last: last, Late: true})
	b.write(n.String(), data)
	return filepath.Join(b.dir, n.String())
}

// wantLate demands what is reported of a moment.
func (b *momentBed) wantLate(after time.Duration, revision int64, want *Late) {
	b.Helper()
	o, notices, err := b.open(after)
	if err != nil {
		b.Fatal(err)
	}
	got := o.Journal.Late
	if same := got == nil && want == nil || got != nil && want != nil && got.First == want.First && got.Last == want.Last && got.At.Equal(want.At); !same || o.Journal.Revision != revision || notices != "" {
		b.Errorf("%s after the snapshot: revision %d, late %+v, want %d, %+v; %s", after, o.Journal.Revision, got, revision, want, notices)
	}
}

// What was caught up after an interruption may be from before a moment within it. That is said, and only of such a moment.
func TestMomentWithinAnInterruptionNamesWhatCameLate(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.late(10*time.Minute, 811, 815)
	second := b.late(10*time.Minute+10*time.Second, 816, 820)
	b.segment("n1", newCluster, 11*time.Minute, 821, 830)
	late := &Late{First: 811, Last: 820, At: b.base.Time.Add(10*time.Minute + 14*time.Second)}
	b.wantLate(5*time.Minute, 810, late)
	b.wantLate(10*time.Minute+2*time.Second, 813, &Late{First: 814, Last: 820, At: late.At}) // while it is caught up
	b.wantLate(time.Minute+2*time.Second, 808, nil)
	b.wantLate(10*time.Minute+20*time.Second, 820, nil)
	b.wantLate(11*time.Minute+3*time.Second, 824, nil)

	data, err := os.ReadFile(second) // the moment needs nothing of it
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	b.write(filepath.Base(second), data)
	b.wantLate(5*time.Minute, 810, &Late{First: 811, Last: 815, At: b.base.Time.Add(10*time.Minute + 4*time.Second)})
}

// The changes began when the snapshot was the state.
func TestMomentAfterTheSnapshotNamesWhatCameLate(t *testing.T) {
	b := newMomentBed(t)
	b.late(10*time.Minute, 806, 810)
	b.segment("n1", newCluster, 11*time.Minute, 811, 815)
	b.wantLate(5*time.Minute, baseRevision, &Late{First: 806, Last: 810, At: b.base.Time.Add(10*time.Minute + 4*time.Second)})
}

// Another node was connected, or the daemon knows that nothing was changed until then.
func TestMomentWithinAnInterruptionIsExactWhereItIsKnown(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.late(10*time.Minute, 811, 815)
	opened, _, err := b.open(time.Minute + 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	m := opened.Journal.Segments[0].Manifest
	dir := snapshot.NewDir(b.dir)
	note := journal.QuietNote{{Cluster: newCluster, Revision: 810, Digest: m.LastDigest, Until: b.base.Time.Add(6 * time.Minute)}}
	if err := dir.KeepNote(snapshot.QuietNote("n1"), note); err != nil {
		t.Fatal(err)
	}
	b.wantLate(5*time.Minute, 810, nil)
	b.wantLate(7*time.Minute, 810, &Late{First: 811, Last: 815, At: b.base.Time.Add(10*time.Minute + 4*time.Second)})
	b.segment("n2", newCluster, 5*time.Minute, 811, 1100)
	b.wantLate(7*time.Minute, 931, nil)
}
