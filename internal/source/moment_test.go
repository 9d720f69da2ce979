package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// The clusters before and after a restore, and the snapshot with which the journal of the second one begins.
const (
	oldCluster, newCluster snapshot.ID = 0xaa, 0xbb
	baseRevision                       = 805
)

// momentBed is a directory with the snapshot, taken at midnight.
type momentBed struct {
	*testing.T
	dir  string
	base snapshot.Name
}

func newMomentBed(t *testing.T) *momentBed {
	t.Helper()
	b := &momentBed{T: t, dir: t.TempDir(), base: storetest.Name(t, snapshot.RollingSet, "n1", 0)}
	b.write(b.base.String(), storetest.ArchiveAt(t, b.base, newCluster, baseRevision))
	return b
}

func (b *momentBed) write(name string, data []byte) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
		b.Fatal(err)
	}
}

// segment writes one that was begun that long after the snapshot.
func (b *momentBed) segment(node string, cluster snapshot.ID, after time.Duration, first, last int64) {
	b.Helper()
	n, data := storetest.Segment(b, storetest.SegmentOf{Node: node, Cluster: cluster, Begun: b.base.Time.Add(after), First: first, Last: last})
	b.write(n.String(), data)
}

// open opens the state at a time after the snapshot; 0: the newest one.
func (b *momentBed) open(after time.Duration) (o *Opened, notices string, err error) {
	return b.openFrom(snapshot.Latest, after)
}

func (b *momentBed) openFrom(reference string, after time.Duration) (o *Opened, notices string, err error) {
	var out bytes.Buffer
	at := &config.At{}
	if after != 0 {
		at.Time, at.Text = b.base.Time.Add(after), after.String()
	}
	o, err = Open(b.Context(), Request{
		Reference: reference, Dir: b.dir, At: at, Notice: func(text string) { fmt.Fprintln(&out, text) },
	})
	if err == nil {
		b.Cleanup(func() { _ = errors.Join(o.File.Close(), o.Journal.Close()) }) // they were only read
	}
	return o, out.String(), err
}

// After a restore, the journal of the old cluster has the same revisions, and more of them. It continues nothing of the new one.
func TestJournalOfTheClusterBeforeARestoreIsNotUsed(t *testing.T) {
	b := newMomentBed(t)
	for first := int64(780); first < 900; first += 10 {
		b.segment("n1", oldCluster, -time.Hour+time.Duration(first)*time.Second, first, first+19)
	}
	o, notices, err := b.open(0)
	if err != nil {
		t.Fatal(err)
	}
	if o.Journal != nil || notices != "" {
		t.Errorf("continued by %+v, %s", o.Journal, notices)
	}
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.segment("n1", newCluster, 2*time.Minute, 811, 812)
	o, notices, err = b.open(0)
	if err != nil {
		t.Fatal(err)
	}
	if c := o.Journal; c == nil || c.End != 812 || len(c.Segments) != 2 || notices != "" {
		t.Errorf("continued by %+v, %s", c, notices)
	}
}

// A moment after the end of the journal is not restored as if nothing had changed, only because another cluster has later revisions.
func TestMomentAfterTheEndIsRefusedThoughAnotherClusterGoesOn(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.segment("n2", oldCluster, -time.Hour, 800, 900)
	for _, after := range []time.Duration{time.Hour, 2 * time.Hour} {
		if _, _, err := b.open(after); !errors.Is(err, ErrMoment) || !strings.Contains(err.Error(), "the journal ends at revision 810") {
			t.Errorf("%s after the snapshot: %v", after, err)
		}
	}
	o, _, err := b.open(time.Minute + 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if o.Journal.Revision != 808 {
		t.Errorf("revision %d", o.Journal.Revision)
	}
}

// Another restore, which kept the cluster's ID: what the node recorded last before the moment counts, not the higher revision of before.
func TestMomentIsOfTheHistoryThatWasRecordedLast(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, -time.Hour, 850, 900)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	o, _, err := b.open(time.Minute + 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if o.Journal.Revision != 808 {
		t.Errorf("revision %d", o.Journal.Revision)
	}
}

// A snapshot from after the moment may have a lower revision than the moment, of the history after a restore that kept the cluster's ID.
func TestMomentBeforeARestoreBeginsWithASnapshotFromBeforeIt(t *testing.T) {
	b := newMomentBed(t)
	before := storetest.Name(t, snapshot.RollingSet, "n1", -2)
	b.write(before.String(), storetest.ArchiveAt(t, before, newCluster, 780))
	b.segment("n1", newCluster, -time.Hour, 781, 900)
	b.segment("n1", newCluster, time.Minute, 806, 910)
	o, _, err := b.open(-time.Hour + 40*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if o.Snapshot != before || o.Journal.Revision != 821 {
		t.Errorf("revision %d from %s", o.Journal.Revision, o.Snapshot)
	}
}

// A segment that was being written when the directory was listed has its final name a moment later. What is in it still counts.
func TestSegmentThatIsCompletedAfterTheListingIsRead(t *testing.T) {
	b := newMomentBed(t)
	n, data := storetest.Segment(t, storetest.SegmentOf{Node: "n1", Cluster: newCluster, Begun: b.base.Time, First: 806, Last: 810})
	part := n
	part.Last = 0
	b.write(part.String(), data)
	all, failed := Places{Dir: b.dir}.List(t.Context())
	if len(failed) > 0 {
		t.Fatal(failed[0])
	}
	defer all[0].Close()
	if err := os.Rename(filepath.Join(b.dir, part.String()), filepath.Join(b.dir, n.String())); err != nil {
		t.Fatal(err)
	}
	j := JournalOf(all, snapshot.NewDir(t.TempDir()))
	proof := journal.Proof{Revision: baseRevision}
	if found, err := j.Prove(t.Context(), &proof, nil); err != nil || proof.Revision != 810 || len(found.Chain) != 1 {
		t.Errorf("proven up to revision %d, %v, %v", proof.Revision, found.Chain, err)
	}
	if err := os.Remove(filepath.Join(b.dir, n.String())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Open(t.Context(), part); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("a removed one: %v", err)
	}
}

// A burst, or a daemon that was killed and started again, begins several segments within a second. Their names do not say which one is the last: a time is in
// the one with the highest revisions.
func TestMomentAfterSegmentsThatBeganInOneSecondIsOfTheLast(t *testing.T) {
	b := newMomentBed(t)
	for _, first := range []int64{806, 811, 816, 821} {
		b.segment("n1", newCluster, time.Minute, first, first+4)
	}
	b.segment("n1", newCluster, time.Hour, 826, 830)
	for _, after := range []time.Duration{2 * time.Minute, 59 * time.Minute} {
		o, _, err := b.open(after)
		if err != nil {
			t.Fatal(err)
		}
		if o.Journal == nil || o.Journal.Revision != 825 {
			t.Errorf("%s after the snapshot: %+v", after, o.Journal)
		}
	}
}
