package daemon_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
)

const msgAborted = "run aborted by the shutdown; no partial snapshot is kept"

// The stop comes after 100 s. runFor demands that the daemon ends that very moment, and without an error.
func TestStopIsImmediateAndClean(t *testing.T) {
	for _, tc := range []struct {
		name     string
		run      []outcome
		says     []string
		runs     int
		failures int
	}{
		{name: "while it waits", runs: 1, says: []string{msgFresh, msgSaved, "stopped"}},
		{name: "during a run", runs: 1, run: []outcome{{takes: time.Hour}}, says: []string{msgFresh, msgAborted, "stopped"}},
		{name: "between two attempts", runs: 5, run: slices.Repeat([]outcome{{err: errDown}}, 9), says: []string{msgFresh, "stopped"}, failures: 5},
		{name: "during another attempt", runs: 2, run: []outcome{{err: errDown}, {takes: time.Hour}}, says: []string{msgFresh, msgAborted, "stopped"}, failures: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				b.run = tc.run
				b.runFor(100 * time.Second)
				b.wantLines(atInfo, tc.says...)
				b.wantLines(atWarning)
				b.wantLines(atError, slices.Repeat([]string{"snapshot failed"}, tc.failures)...)
				if len(b.begun) != tc.runs {
					t.Errorf("%d runs, want %d", len(b.begun), tc.runs)
				}
			})
		})
	}
}

// A run that ends well as the stop comes has saved its snapshot and logs it. What pruning does not reach is left to the
// next cycle, and is no failure.
func TestStopAsARunEndsKeepsItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		for h := range 6 {
			b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin.Add(-time.Duration(h+1)*time.Hour))})
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		b.run = []outcome{{takes: time.Second, change: func(*snapshot.Taken) { stop() }}}
		if err := b.open().Run(ctx); err != nil {
			t.Fatalf("Run: %v", err)
		}
		b.wantLines(atInfo, msgMissed, msgSaved, "stopped")
		b.wantLines(atError)
		if e := b.closing(1)[0]; e.Data["kept"] != 7 || e.Data["pruned"] != 0 {
			t.Errorf("kept=%v pruned=%v, want 7 and 0: nothing was removed", e.Data["kept"], e.Data["pruned"])
		}
	})
}

func TestStopBeforeTheStartTakesNoSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := b.open().Run(ctx); err != nil {
			t.Fatalf("Run: %v", err)
		}
		b.wantRuns()
		b.wantLines(atInfo, "stopped")
		b.wantLines(atError)
	})
}

// Runs work, fail and are slow; whenever the stop comes, it is clean.
func TestStopAtAnyMomentIsClean(t *testing.T) {
	for at := time.Second; at < 10*time.Minute; at += 7 * time.Second {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "*/3 * * * *")
			b.run = []outcome{
				{takes: 20 * time.Second},
				{takes: 31 * time.Second, err: errDown},
				{err: errDown},
				{takes: 11 * time.Second, err: errDown},
				{takes: 4 * time.Minute},
				{err: fmt.Errorf("%w: the member is the leader", daemon.ErrSkipped)},
			}
			b.runFor(at + time.Millisecond) // never as a run ends: which is first then is chance
			info := b.lines(atInfo)
			if last := info[len(info)-1]; last != "stopped" {
				t.Errorf("stopped after %s: last line %q, want %q", at, last, "stopped")
			}
			b.closing(len(b.store.names()))
		})
	}
}
