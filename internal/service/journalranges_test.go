package service

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// rangesBed is a directory with a journal, and the status of its daemon.
type rangesBed struct {
	*testing.T
	dir    *snapshot.Dir
	status *status.Tracker
	begin  time.Time
}

func newRangesBed(t *testing.T) *rangesBed {
	dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
	must(t, dir.Prepare())
	tr := status.New(status.Options{JournalSegment: time.Minute, Ranges: journalRanges(dir)})
	return &rangesBed{t, dir, tr, time.Now().UTC().Truncate(time.Hour).Add(-10 * time.Hour)}
}

func (b *rangesBed) snapshot(after time.Duration, cluster snapshot.ID, revision int64) {
	b.Helper()
	n, err := snapshot.NewName(snapshot.RollingSet, "n1", b.begin.Add(after))
	must(b.T, err)
	must(b.T, os.WriteFile(filepath.Join(b.dir.Path(), n.String()), storetest.ArchiveAt(b, n, cluster, revision), 0o600))
}

func (b *rangesBed) segment(after time.Duration, cluster snapshot.ID, first, last int64) snapshot.SegmentName {
	b.Helper()
	n, data := storetest.Segment(b, storetest.SegmentOf{Node: "n1", Cluster: cluster, Begun: b.begin.Add(after), First: first, Last: last})
	must(b.T, os.WriteFile(filepath.Join(b.dir.Path(), n.String()), data, 0o600))
	return n
}

// quiet notes that nothing changed after a segment.
func (b *rangesBed) quiet(n snapshot.SegmentName, until time.Duration) {
	b.Helper()
	f, err := b.dir.OpenSegment(n)
	must(b.T, err)
	s, err := journal.OpenFile(b.Context(), f, n)
	must(b.T, err)
	must(b.T, f.Close())
	q := journal.Quiet{Cluster: s.ClusterID, Revision: s.Last, Digest: s.LastDigest, Until: b.begin.Add(until)}
	must(b.T, b.dir.KeepNote(snapshot.QuietNote("n1"), journal.QuietNote{q}))
}

// known are the periods of the status once the daemon has listed the directory, and of list.
func (b *rangesBed) known() (daemon, list []status.Period) {
	b.Helper()
	all, failed := source.Places{Dir: b.dir.Path()}.List(b.Context())
	if len(failed) > 0 {
		b.Fatal(failed[0])
	}
	defer all[0].Close()
	var copies []status.Copy
	var bases []history.Snapshot
	for _, e := range all[0].Snapshots {
		m, err := b.dir.Manifest(e.Name)
		must(b.T, err)
		copies, bases = append(copies, status.Copy{Name: e.Name, Size: e.Size, Facts: m.Facts()}), append(bases, history.SnapshotOf(e.Name, m))
	}
	b.status.SetInventory(status.Local, copies, nil)
	b.status.SetSegments(status.Local, all[0].Segments, b.dir.SegmentEnd)
	for _, r := range source.JournalOf(all, b.dir).Ranges(b.Context(), bases) {
		list = append(list, status.Period{From: r.From, To: r.To, Restored: r.Restored})
	}
	return b.status.State().Restorable(status.Local), list
}

// The page draws what the status knows.
func TestStatusHasTheSameMomentsAsList(t *testing.T) {
	const old, restored snapshot.ID = 0xa, 0xb
	for name, x := range map[string]struct {
		write func(b *rangesBed)
		want  [2][2]time.Duration
		after bool // the second row is after a restore
	}{
		"a gap, after whose begin the first change came within a second": {
			func(b *rangesBed) {
				b.segment(0, old, 101, 110)
				b.snapshot(time.Hour, old, 200)
				b.segment(time.Hour-time.Second+400*time.Millisecond, old, 199, 210)
			},
			[2][2]time.Duration{{0, 9 * time.Second}, {time.Hour + 400*time.Millisecond, time.Hour + 10400*time.Millisecond}},
			false,
		},
		"a restored cluster that went on with the next revision": {
			func(b *rangesBed) {
				b.segment(0, old, 101, 110)
				b.snapshot(time.Hour, restored, 110)
				b.segment(time.Hour+time.Second, restored, 111, 120)
			},
			[2][2]time.Duration{{0, 9 * time.Second}, {time.Hour, time.Hour + 10*time.Second}},
			true,
		},
		"a restored cluster that kept its ID": {
			func(b *rangesBed) {
				b.segment(0, old, 101, 150)
				b.snapshot(time.Hour, old, 120)
				b.segment(time.Hour+time.Second, old, 121, 130)
			},
			[2][2]time.Duration{{0, 49 * time.Second}, {time.Hour, time.Hour + 10*time.Second}},
			true,
		},
		"nothing had changed for half an hour before a gap": {
			func(b *rangesBed) {
				b.quiet(b.segment(0, old, 101, 110), 30*time.Minute)
				b.snapshot(time.Hour, old, 200)
				b.segment(time.Hour+time.Second, old, 201, 210)
			},
			[2][2]time.Duration{{0, 30 * time.Minute}, {time.Hour, time.Hour + 10*time.Second}},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRangesBed(t)
			b.snapshot(0, old, 100)
			x.write(b)
			var want []status.Period
			for i, w := range x.want {
				want = append(want, status.Period{From: b.begin.Add(w[0]), To: b.begin.Add(w[1]), Restored: i == 1 && x.after})
			}
			if daemon, list := b.known(); !slices.Equal(daemon, want) || !slices.Equal(list, want) {
				t.Errorf("the status has\n%v, list\n%v, want\n%v", daemon, list, want)
			}
		})
	}
}

// What no snapshot is from before, and what is before the next row, has no moment that can be restored.
func TestStatusHasNoMomentsWithoutASnapshot(t *testing.T) {
	b := newRangesBed(t)
	b.segment(0, 1, 101, 110)
	if daemon, _ := b.known(); len(daemon) > 0 {
		t.Errorf("the status has %v", daemon)
	}
}
