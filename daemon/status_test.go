package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// local are the copies on the disk as the status knows them, in short.
func (b *bed) local() []string {
	var out []string
	for _, c := range b.status.State().Places[status.Local].Copies {
		out = append(out, fmt.Sprintf("%s %s %d/%d@%d", c.Name.Set, b.since(c.Name.Time), c.Size, c.RawSize, c.Revision))
	}
	return out
}

func (b *bed) wantLocal(want ...string) {
	b.t.Helper()
	if got := b.local(); !slices.Equal(got, want) {
		b.t.Errorf("after %s the status knows\n%q, want\n%q", time.Since(b.origin), got, want)
	}
}

// wantCounted compares how runs have ended since the start.
func (b *bed) wantCounted(want map[status.Run]int) {
	b.t.Helper()
	if got := b.status.State().Counters.Runs; !maps.Equal(got, want) {
		b.t.Errorf("counted %v, want %v", got, want)
	}
}

func TestStatusFollowsEachCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Policy.Last = 1
		b.always.takes = 7 * time.Second
		b.at(3*time.Second, func() {
			if j := b.job(status.Snapshot); !j.Running || b.since(j.Attempt) != 0 || b.since(j.Next) != 0 || j.Interval != time.Hour {
				t.Errorf("during the first run: %+v", j)
			}
		})
		b.runFor(61 * time.Minute)
		j, s := b.job(status.Snapshot), b.status.State()
		if j.Running || b.since(j.Attempt) != time.Hour || b.since(j.Success) != time.Hour+7*time.Second || b.since(j.Next) != 2*time.Hour || b.since(j.Due) != 2*time.Hour {
			t.Errorf("after two runs: %+v", j)
		}
		b.wantLocal("rolling 1h0m0s 1000/5000@42")
		b.wantCounted(map[status.Run]int{{Job: status.Snapshot, Result: status.Succeeded}: 2})
		if c := s.Counters; c.Pruned[status.Local] != 1 || c.Stages[status.StageStream].Sum != 4 || c.Stages[status.StageSync].Count != 2 {
			t.Errorf("counted %+v", c)
		}
		if b.store.read != 0 {
			t.Errorf("%d manifests read of snapshots that were just taken", b.store.read)
		}
	})
}

// What is removed or saved manually between two runs is known within seconds, and no manifest is read twice.
func TestStatusFollowsManualWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		x := taken(t, b.origin).Entry
		b.store.add(x)
		b.at(10*time.Minute, func() {
			b.wantLocal("rolling 0s 1000/5000@42")
			if err := b.store.Remove(t.Context(), x.Name); err != nil {
				t.Error(err)
			}
		})
		b.at(10*time.Minute+16*time.Second, func() {
			b.wantLocal()
			if got := b.codes(); !slices.Equal(got, []status.Code{status.CodeNoSnapshot}) {
				t.Errorf("problems %q", got)
			}
		})
		b.at(20*time.Minute, func() {
			b.store.add(snapshot.Entry{Name: name(t, "manual", node, b.origin.Add(20*time.Minute)), Size: 5})
		})
		b.at(20*time.Minute+16*time.Second, func() { b.wantLocal("manual 20m0s 5/5000@42") })
		b.runFor(50 * time.Minute)
		b.wantRuns()
		if b.store.read != 2 {
			t.Errorf("%d manifests read of two snapshots", b.store.read)
		}
	})
}

// What lies in the directory is known before the first run, with its own times: the newest rolling snapshot that no wrong clock has dated,
// and all that is this node's.
func TestStatusKnowsTheDirectoryAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "30 * * * *")
		time.Sleep(5 * time.Hour)
		for _, x := range []struct {
			set, node string
			hour      int
		}{{"rolling", node, 1}, {"rolling", node, 3}, {"manual", node, 4}, {"rolling", "node-b", 4}, {"rolling", node, 9}} {
			b.store.add(snapshot.Entry{Name: name(t, x.set, x.node, b.origin.Add(time.Duration(x.hour)*time.Hour)), Size: int64(x.hour)})
		}
		b.always = outcome{takes: time.Hour}
		b.at(5*time.Hour+time.Second, func() {
			b.wantLocal("rolling 9h0m0s 9/5000@42", "manual 4h0m0s 4/5000@42", "rolling 3h0m0s 3/5000@42", "rolling 1h0m0s 1/5000@42")
			j := b.job(status.Snapshot)
			if b.since(j.Success) != 3*time.Hour || j.Name.String() != b.hourly(3)[0] || b.since(j.Due) != 3*time.Hour+30*time.Minute || b.since(j.Attempt) != 5*time.Hour {
				t.Errorf("known of the runs: %+v", j)
			}
		})
		b.runFor(time.Minute)
		b.wantCounted(map[status.Run]int{}) // the stop aborted the only one
	})
}

func TestStatusCountsFailuresAndSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{err: errDown}, {takes: time.Second, err: errors.New("strange")}, {err: fmt.Errorf("%w: the leader", daemon.ErrSkipped)}}
		b.at(10*time.Second, func() {
			j := b.job(status.Snapshot)
			if j.Failures != 2 || j.Message != "strange" || b.since(j.Attempt) != 5*time.Second || b.since(j.Failed) != 6*time.Second || b.since(j.Next) != 16*time.Second || b.since(j.Due) != 0 {
				t.Errorf("after two failures: %+v", j)
			}
		})
		b.runFor(time.Minute)
		b.wantCounted(map[status.Run]int{
			{Job: status.Snapshot, Result: status.Failed, Reason: status.Unreachable}: 1,
			{Job: status.Snapshot, Result: status.Failed, Reason: status.Other}:       1,
			{Job: status.Snapshot, Result: status.Skipped, Reason: status.Role}:       1,
		})
		if j := b.job(status.Snapshot); j.Failures != 0 || b.since(j.Settled) != 16*time.Second || b.since(j.Next) != time.Hour || b.since(j.Due) != time.Hour {
			t.Errorf("after the skip: %+v", j)
		}
	})
}

func TestStatusFollowsThePassesOfTheMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		p := newPasses(b)
		b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin)})
		p.broken = func(n int) bool { return n == 0 }
		b.at(3*time.Second, func() {
			if j := b.job(status.Mirror); j.Running || j.Failures != 1 || j.Message != "bucket is down" || b.since(j.Failed) != time.Second {
				t.Errorf("after the first pass: %+v", j)
			}
		})
		b.runFor(10 * time.Second)
		if j := b.job(status.Mirror); j.Failures != 0 || b.since(j.Attempt) != 6*time.Second || b.since(j.Success) != 7*time.Second {
			t.Errorf("after the second pass: %+v", j)
		}
		b.wantCounted(map[status.Run]int{
			{Job: status.Mirror, Result: status.Failed, Reason: status.Other}: 1, {Job: status.Mirror, Result: status.Succeeded}: 1,
		})
	})
}

// A directory that can't be read is a problem at the next look, and no more once it can be read again.
func TestUnreadableDirectoryIsAProblemUntilItIsReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.store.add(taken(t, b.origin).Entry)
		b.at(time.Minute, func() { b.store.fail(errors.New("input/output error")) })
		b.at(2*time.Minute-time.Second, func() {
			if got := b.codes(); !slices.Equal(got, []status.Code{status.CodeDiskUnreadable}) {
				t.Errorf("problems %q", got)
			}
		})
		b.at(2*time.Minute, func() { b.store.fail(nil) })
		b.runFor(3 * time.Minute)
		if got := b.codes(); len(got) > 0 {
			t.Errorf("problems %q", got)
		}
		b.wantLocal("rolling 0s 1000/5000@42")
	})
}

// The first answer comes once the first pass has ended, or has taken long enough.
func TestServeWaitsForTheFirstPassAndNotForLong(t *testing.T) {
	for pass, want := range map[time.Duration]time.Duration{0: 0, 2 * time.Second: 2 * time.Second, time.Hour: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			if pass > 0 {
				newPasses(b).takes = pass
			}
			began, ended := time.Duration(-1), time.Duration(-1)
			b.opts.Serve = func(ctx context.Context) {
				began = time.Since(b.origin)
				if !b.status.State().Ready() {
					t.Error("answers before the directory was read")
				}
				<-ctx.Done()
				ended = time.Since(b.origin)
			}
			b.runFor(time.Minute)
			if began != want || ended != time.Minute {
				t.Errorf("a pass of %s: served from %s to %s, want from %s", pass, began, ended, want)
			}
			b.wantRuns(0)
		})
	}
}
