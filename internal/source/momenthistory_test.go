package source

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// restoredBed is a directory with the journals from before and after a restore: revisions 780 to 900, and 805 to 910. Before it the events are a second
// apart from an hour before the restore on, after it from a minute after it on.
type restoredBed struct {
	*momentBed
	before snapshot.Name // the snapshot from two hours before the restore
}

// eachRestore runs a test for a restore to a new cluster ID, and for one that kept it.
func eachRestore(t *testing.T, test func(*testing.T, *restoredBed, snapshot.ID)) {
	t.Helper()
	for name, old := range map[string]snapshot.ID{"a new cluster ID": oldCluster, "the same cluster ID": newCluster} {
		t.Run(name, func(t *testing.T) {
			b := &restoredBed{newMomentBed(t), storetest.Name(t, snapshot.RollingSet, "n1", -2)}
			b.write(b.before.String(), storetest.ArchiveAt(t, b.before, old, 780))
			if old != newCluster {
				if err := snapshot.NewDir(b.dir).RecordRestore(snapshot.Restored{ClusterID: newCluster, Predecessors: []snapshot.ID{old}}); err != nil {
					t.Fatal(err)
				}
			}
			b.segment("n1", old, -time.Hour, 781, 840)
			b.segment("n1", old, -time.Hour+time.Minute, 841, 900)
			b.segment("n1", newCluster, time.Minute, 806, 860)
			b.segment("n1", newCluster, 2*time.Minute, 861, 910)
			test(t, b, old)
		})
	}
}

// ask opens a state: at a revision, a time after the restore, or latest.
func (b *momentBed) ask(reference, at string) (*Opened, error) {
	b.Helper()
	x, err := config.ParseAt(at, b.base.Time.Add(24*time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	o, err := Open(b.Context(), Request{Reference: reference, Dir: b.dir, At: &x, FindHighest: true, Notice: func(text string) { fmt.Fprintln(&out, text) }})
	if err == nil {
		b.Cleanup(func() { _ = errors.Join(o.File.Close(), o.Journal.Close()) }) // they were only read
	}
	if out.Len() > 0 {
		b.Errorf("%s at %s: %s", reference, at, out.String())
	}
	return o, err
}

// after is a moment that long after the restore.
func (b *momentBed) after(d time.Duration) string { return b.base.Time.Add(d).Format(time.RFC3339Nano) }

// Each history is restored by time, by a revision that it alone has, and by the name of a snapshot.
func TestMomentBeforeAndAfterARestore(t *testing.T) {
	eachRestore(t, func(t *testing.T, b *restoredBed, old snapshot.ID) {
		for name, x := range map[string]struct {
			reference, at string
			revision      int64
			received      time.Duration // after the restore; 0: the revision is the snapshot's own
			before        bool          // the restore
		}{
			"a time before it":                     {snapshot.Latest, b.after(-time.Hour + 40*time.Second), 821, -time.Hour + 40*time.Second, true},
			"the last moment before it":            {snapshot.Latest, b.after(-time.Hour + 119*time.Second), 900, -time.Hour + 119*time.Second, true},
			"a time after it":                      {snapshot.Latest, b.after(time.Minute + 2*time.Second), 808, time.Minute + 2*time.Second, false},
			"before anything was written after it": {snapshot.Latest, b.after(30 * time.Second), 805, 0, false},
			"a revision of before":                 {snapshot.Latest, "800", 800, -time.Hour + 19*time.Second, true},
			"a revision of after":                  {snapshot.Latest, "905", 905, 2*time.Minute + 44*time.Second, false},
			"a revision of both, by the snapshot":  {b.before.String(), "850", 850, -time.Hour + 69*time.Second, true},
			"and by the other snapshot":            {b.base.String(), "850", 850, time.Minute + 44*time.Second, false},
			"the end":                              {snapshot.Latest, "latest", 910, 2*time.Minute + 49*time.Second, false},
			"the end of before":                    {b.before.String(), "latest", 900, -time.Hour + 119*time.Second, true},
		} {
			t.Run(name, func(t *testing.T) {
				o, err := b.ask(x.reference, x.at)
				if err != nil {
					t.Fatal(err)
				}
				c, base, cluster := o.Journal, b.base, newCluster
				if x.before {
					base, cluster = b.before, old
				}
				var received time.Time
				if x.received != 0 {
					received = b.base.Time.Add(x.received)
				}
				if o.Snapshot != base || c.Revision != x.revision || !c.At.Equal(received) || c.Cluster != cluster {
					t.Errorf("revision %d of %s, received %s, from %s", c.Revision, c.Cluster, c.At, o.Snapshot)
				}
				if c.Restored.Equal(b.base.Time) != x.before || c.Restored.IsZero() == x.before {
					t.Errorf("restored at %s", c.Restored)
				}
				if o.Highest != 910 {
					t.Errorf("the highest revision is %d", o.Highest)
				}
			})
		}
	})
}

// A revision that is from before and from after the restore is not guessed.
func TestRevisionOfTwoHistoriesIsRefusedWithBoth(t *testing.T) {
	eachRestore(t, func(t *testing.T, b *restoredBed, old snapshot.ID) {
		for at, times := range map[string][2]string{
			"805": {"2026-11-20 23:00:24 UTC", "2026-11-21 00:00:00 UTC"},
			"850": {"2026-11-20 23:01:09 UTC", "2026-11-21 00:01:44 UTC"},
		} {
			_, err := b.ask(snapshot.Latest, at)
			want := fmt.Sprintf("--at %s: the cluster was restored, so it had this revision more than once: at %s (cluster %s, snapshot %s) and at %s (cluster %s, snapshot %s)",
				at, times[0], old, b.before, times[1], newCluster, b.base)
			if !errors.Is(err, config.ErrUsage) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
		}
	})
}

// The later one of the two has no snapshot from before the revision.
func TestRevisionThatCanBeRestoredOfOneHistoryOnlyIsRefusedToo(t *testing.T) {
	eachRestore(t, func(t *testing.T, b *restoredBed, old snapshot.ID) {
		b.segment("n1", newCluster, 0, 800, 805)
		_, err := b.ask(snapshot.Latest, "803")
		want := fmt.Sprintf("at 2026-11-20 23:00:22 UTC (cluster %s, snapshot %s) and at 2026-11-21 00:00:03 UTC (cluster %s, which can't be restored: no snapshot leads to it)",
			old, b.before, newCluster)
		if !errors.Is(err, config.ErrUsage) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
		for reference, at := range map[string]string{b.before.String(): "803", snapshot.Latest: b.after(-time.Hour + 22*time.Second)} {
			if o, err := b.ask(reference, at); err != nil || o.Snapshot != b.before || o.Journal.Revision != 803 {
				t.Errorf("%s at %s: %+v, %v", reference, at, o, err)
			}
		}
	})
}

// Between the end of the journal and the restore nothing is known. What is proposed instead is of the right history.
func TestMomentBetweenTheJournalAndTheRestoreIsRefused(t *testing.T) {
	eachRestore(t, func(t *testing.T, b *restoredBed, _ snapshot.ID) {
		_, err := b.ask(snapshot.Latest, b.after(-time.Minute))
		end := b.base.Time.Add(-time.Hour + 119*time.Second).UTC().Format(time.RFC3339Nano)
		want := "before the cluster was restored at 2026-11-21 00:00:00 UTC, the journal ends at revision 900, received 2026-11-20 23:01:59 UTC: --at " + end + " restores that revision"
		if !errors.Is(err, ErrMoment) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
		if o, err := b.ask(snapshot.Latest, end); err != nil || o.Journal.Revision != 900 {
			t.Errorf("what was proposed: %+v, %v", o, err)
		}
		_, err = b.ask(b.base.String(), b.after(-time.Hour+40*time.Second))
		if want := "; the snapshot " + b.before.String() + " with --at "; !errors.Is(err, ErrMoment) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	})
}

// The cluster kept its ID, and the first snapshot after the restore is the only sign of it: the raft index begins again.
func TestFirstSnapshotAfterARestoreBeginsAHistory(t *testing.T) {
	for _, node := range []string{"n1", "another"} {
		t.Run(node, func(t *testing.T) { firstAfterARestore(t, node) })
	}
}

func firstAfterARestore(t *testing.T, node string) {
	t.Helper()
	bed := func(revision int64) (b *momentBed, before snapshot.Name) {
		b = &momentBed{T: t, dir: t.TempDir(), base: storetest.Name(t, snapshot.RollingSet, node, 0)}
		before = storetest.Name(t, snapshot.RollingSet, "n1", -2)
		for n, s := range map[snapshot.Name]snapshot.Source{before: {Revision: 780, RaftIndex: 900}, b.base: {Revision: revision, RaftIndex: 6}} {
			s.ClusterID, s.Healthy = newCluster, true
			b.write(n.String(), storetest.ArchiveOf(t, n, s))
		}
		b.segment("n1", newCluster, -time.Hour, 781, 900)
		return b, before
	}
	// Nobody has written since. As far as revisions say, the journal of before continues the snapshot.
	b, before := bed(805)
	o, err := b.ask(snapshot.Latest, "latest")
	if err != nil {
		t.Fatal(err)
	}
	if o.Snapshot != b.base || o.Journal != nil {
		t.Errorf("%s is continued by %+v", o.Snapshot, o.Journal)
	}
	if o, err = b.ask(snapshot.Latest, "890"); err != nil || o.Snapshot != before {
		t.Errorf("a revision of before: %+v, %v", o, err)
	}
	// The journal began again, behind the revisions of before, and before its snapshot was taken.
	b, before = bed(955)
	b.segment(node, newCluster, -5*time.Second, 950, 960)
	if o, err = b.ask(snapshot.Latest, "latest"); err != nil || o.Snapshot != b.base || o.Journal == nil || o.Journal.End != 960 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = b.ask(snapshot.Latest, b.after(-time.Hour+time.Second)); err != nil || o.Snapshot != before || !o.Journal.Restored.Equal(b.base.Time.Add(-5*time.Second)) {
		t.Errorf("a time before: %+v, %v", o, err)
	}
}

// Several nodes see one restore, each at its own time, and a node that was away goes on behind it: that is one restore.
func TestSeveralNodesSeeOneRestore(t *testing.T) {
	b := newMomentBed(t)
	before := storetest.Name(t, snapshot.RollingSet, "n1", -2)
	b.write(before.String(), storetest.ArchiveAt(t, before, newCluster, 780))
	for node, later := range map[string]time.Duration{"n1": 0, "n2": 9 * time.Second} {
		b.segment(node, newCluster, -time.Hour+later, 781, 900)
		b.segment(node, newCluster, time.Minute+later, 806, 890)
	}
	b.segment("n3", newCluster, -90*time.Minute, 700, 800)
	b.segment("n3", newCluster, 2*time.Minute, 801, 895)
	for at, want := range map[string]int64{
		b.after(-time.Hour + 100*time.Second): 881, b.after(time.Minute + 20*time.Second): 826, b.after(2*time.Minute + 94*time.Second): 895, "896": 896, "893": 0, "790": 790,
	} {
		o, err := b.ask(snapshot.Latest, at)
		if want == 0 {
			if !errors.Is(err, config.ErrUsage) || strings.Count(err.Error(), "snapshot rolling_") != 2 {
				t.Errorf("at %s: %v", at, err)
			}
			continue
		}
		if err != nil || o.Journal.Revision != want {
			t.Errorf("at %s: %+v, %v", at, o, err)
		}
	}
}

// Where revisions and times leave a choice, the digests decide, before anything is merged.
func TestSegmentWithTheRightDigestContinues(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	n, data := storetest.Segment(t, storetest.SegmentOf{Node: "n2", Cluster: newCluster, Begun: b.base.Time.Add(2 * time.Minute), First: 811, Last: 890, Before: "other"})
	b.write(n.String(), data)
	b.segment("n1", newCluster, 2*time.Minute, 811, 815)
	o, err := b.ask(snapshot.Latest, "latest")
	if err != nil {
		t.Fatal(err)
	}
	if c := o.Journal; c.End != 815 || len(c.Segments) != 2 {
		t.Errorf("continued by %+v", c)
	}
}

// A clock that was set back makes no restore.
func TestClockThatWasSetBackIsNoRestore(t *testing.T) {
	b := newMomentBed(t)
	for i := range int64(10) {
		at := time.Duration(i) * time.Minute
		if i >= 5 {
			at -= 3*time.Minute - 10*time.Second
		}
		b.segment("n1", newCluster, at, 806+10*i, 815+10*i)
	}
	o, err := b.ask(snapshot.Latest, "latest")
	if err != nil {
		t.Fatal(err)
	}
	if c := o.Journal; c.End != 905 || len(c.Segments) != 10 {
		t.Errorf("continued by %+v", c)
	}
	if o, err = b.ask(snapshot.Latest, "870"); err != nil || o.Journal.Revision != 870 {
		t.Errorf("%+v, %v", o, err)
	}
}

// What is known of the restored cluster begins in the second of its snapshot, or after it. A moment before that is not refused as if there were nothing from
// before the restore: the nearest states are named, and can be restored.
func TestMomentBeforeTheFirstStateAfterARestoreIsRefusedWithTheNearest(t *testing.T) {
	for name, x := range map[string]struct {
		begun time.Duration // the segment with the snapshot's revision
		first int64
		at    time.Duration
		want  string
	}{
		"within the second":       {400 * time.Millisecond, 805, 0, "what is recorded of the cluster after it was restored begins later"},
		"behind a first revision": {-3 * time.Second, 802, -2 * time.Second, "no snapshot of the cluster after it was restored has revision 803 or an earlier one"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			before := storetest.Name(t, snapshot.RollingSet, "n1", -2)
			b.write(before.String(), storetest.ArchiveAt(t, before, oldCluster, 780))
			if err := snapshot.NewDir(b.dir).RecordRestore(snapshot.Restored{ClusterID: newCluster, Predecessors: []snapshot.ID{oldCluster}}); err != nil {
				t.Fatal(err)
			}
			b.segment("n1", oldCluster, -time.Hour, 781, 840)
			b.segment("n1", newCluster, x.begun, x.first, 860)
			_, err := b.ask(snapshot.Latest, b.after(x.at))
			end := b.base.Time.Add(-time.Hour + 59*time.Second).UTC().Format(time.RFC3339Nano)
			want := fmt.Sprintf("%s: --at %s restores revision 840, the last one before the restore; the snapshot %s with --at base restores the first state after it, revision 805, "+
				"2026-11-21 00:00:00 UTC", x.want, end, b.base)
			if !errors.Is(err, ErrMoment) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
			if o, err := b.ask(snapshot.Latest, end); err != nil || o.Snapshot != before || o.Journal.Revision != 840 {
				t.Errorf("what was proposed: %+v, %v", o, err)
			}
		})
	}
}

// A moment before all that is recorded is answered with the first one.
func TestMomentBeforeTheFirstSnapshotIsRefusedWithIt(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 860)
	_, err := b.ask(snapshot.Latest, b.after(-time.Minute))
	want := "the journal has no change before it: the snapshot " + b.base.String() + " with --at base restores the first state after it, revision 805, 2026-11-21 00:00:00 UTC"
	if !errors.Is(err, ErrMoment) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
}
