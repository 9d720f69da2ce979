package daemon_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

func TestEachCyclePrunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.runFor(24*time.Hour - time.Second)
		want := []string{
			"rolling_node-a_20000101T230000Z.db.zst", "rolling_node-a_20000101T220000Z.db.zst", "rolling_node-a_20000101T210000Z.db.zst",
		}
		if l, _ := b.store.List(); len(l.Snapshots) != 3 || !slices.Equal(b.store.names(), want) {
			t.Errorf("kept %q, want %q", b.store.names(), want)
		}
	})
}

// Taken by hand, of another node, of the future, and one that another process has just removed.
func TestPruneRemovesOnlyTheNodesRollingSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Policy = retention.Policy{Last: 1}
		old := b.origin.Add(-100 * time.Hour)
		var others []string
		for _, n := range []snapshot.Name{
			name(t, snapshot.ManualSet, node, old), name(t, "before-upgrade", node, old), name(t, "Rolling", node, old),
			name(t, snapshot.RollingSet, "node-b", old), name(t, snapshot.RollingSet, "node-a-b", old),
			name(t, snapshot.RollingSet, "node", old), name(t, snapshot.RollingSet, "Node-A", old),
			name(t, snapshot.RollingSet, node, b.origin.Add(1000*time.Hour)),
		} {
			b.store.add(snapshot.Entry{Name: n})
			others = append(others, n.String())
		}
		mine, gone := name(t, snapshot.RollingSet, node, old), name(t, snapshot.RollingSet, node, old.Add(time.Hour))
		b.store.add(snapshot.Entry{Name: mine}, snapshot.Entry{Name: gone})
		b.store.removeErr = map[string]error{gone.String(): snapshot.ErrNotFound}
		b.runFor(time.Minute)

		if !slices.Equal(b.store.removed, []string{mine.String()}) {
			t.Errorf("removed %q, want %q alone", b.store.removed, mine)
		}
		for _, n := range others {
			if !slices.Contains(b.store.names(), n) {
				t.Errorf("%s is gone", n)
			}
		}
		b.wantLines(atError)
		if e := b.closing(1)[0]; e.Data["pruned"] != 2 || e.Data["kept"] != 2 {
			t.Errorf("kept=%v pruned=%v, want 2 and 2", e.Data["kept"], e.Data["pruned"])
		}
	})
}

// A snapshot that can't be removed doesn't fail the run, and the others are removed all the same.
func TestPruneFailureIsReportedAndTheRestIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		for h := range 6 {
			b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin.Add(-time.Duration(h+2)*time.Hour))})
		}
		stuck := name(t, snapshot.RollingSet, node, b.origin.Add(-5*time.Hour)).String()
		b.store.removeErr = map[string]error{stuck: errors.New("read-only file system")}
		b.runFor(2*time.Hour + time.Minute)

		if s := b.status.State(); s.Counters.PruneFailures != 3 || !slices.Contains(b.codes(), status.CodePruneFailed) {
			t.Errorf("%d failures, problems %q", s.Counters.PruneFailures, b.codes())
		}
		b.wantRuns(hours(0, 2)...)
		const failed = "pruning failed; the new snapshot is safe"
		b.wantLines(atError, failed, failed, failed)
		if n := len(b.store.names()); n != 4 || !slices.Contains(b.store.names(), stuck) {
			t.Errorf("left %q, want the newest three and %s", b.store.names(), stuck)
		}
		// The line reports what is true of the disk: what could not be removed is kept.
		for i, want := range [][2]int{{4, 3}, {4, 1}, {4, 1}} {
			e := b.closing(3)[i]
			if got := [2]any{e.Data["kept"], e.Data["pruned"]}; got != [2]any{want[0], want[1]} {
				t.Errorf("cycle %d: kept, pruned: %v, want %v", i, got, want)
			}
		}
	})
}

func TestPruneRemovesNothingWhenTheDirectoryCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.change = func(*snapshot.Taken) { b.store.listErr = errors.New("input/output error") }
		b.runFor(time.Hour + time.Minute)
		b.wantRuns(hours(0, 1)...)
		b.closing(2)
		const failed = "pruning failed; the new snapshot is safe"
		b.wantLines(atError, failed, failed)
		if len(b.store.removed) > 0 {
			t.Errorf("removed %q without knowing what is there", b.store.removed)
		}
	})
}
