package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// ears is a daemon.Recorder that writes down what it hears, one line each, with times since origin.
type ears struct {
	mu     sync.Mutex
	origin time.Time
	heard  []string
}

func listen(b *bed) *ears {
	e := &ears{origin: b.origin}
	b.opts.Recorder = e
	b.opts.Reason = func(_ metrics.Kind, err error) metrics.Reason {
		return map[bool]metrics.Reason{true: metrics.Unreachable, false: metrics.Other}[errors.Is(err, errDown)]
	}
	return e
}

func (e *ears) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, a := range args {
		if at, ok := a.(time.Time); ok {
			args[i] = at.Sub(e.origin)
		}
	}
	e.heard = append(e.heard, fmt.Sprintf(format, args...))
}

// shown are the snapshots by set, node and hour, with the sizes and revision that are known.
func shown(list ...metrics.Snapshot) string {
	var out []string
	for _, x := range list {
		name, _, _ := strings.Cut(x.Name, "0000Z")
		out = append(out, fmt.Sprintf("%s %d/%d@%d", name, x.Size, x.RawSize, x.Revision))
	}
	return strings.Join(out, ", ")
}

func (e *ears) Schedule(k metrics.Kind, next time.Time, interval time.Duration) {
	if k != metrics.Snapshots { // of which most tests are
		e.add("schedule %s %s every %s", k, next, interval)
		return
	}
	e.add("schedule %s every %s", next, interval)
}

func (e *ears) Failing(k metrics.Kind, runs int) { e.add("failing %s %d", k, runs) }

func (e *ears) Started(at ...time.Time) {
	for _, t := range at {
		e.add("started %s", t)
	}
}
func (e *ears) Attempt(k metrics.Kind, at time.Time) { e.add("attempt %s %s", k, at) }
func (e *ears) Failed(k metrics.Kind, at time.Time, name string, r metrics.Reason, message string) {
	e.add("failed %s %s %q %s %s", k, at, name, r, message)
}

func (e *ears) Skipped(k metrics.Kind, at time.Time, r metrics.Reason) {
	e.add("skipped %s %s %s", k, at, r)
}

func (e *ears) SnapshotDone(at time.Time, x metrics.Snapshot, stream, sync time.Duration) {
	e.add("snapshot %s %s %s %s", at, shown(x), stream, sync)
}

func (e *ears) Verified(at time.Time, name string, took time.Duration) {
	e.add("verified %s %s %s", at, name, took)
}

func (e *ears) Drilled(at time.Time, name string, took time.Duration) {
	e.add("drilled %s %s %s", at, name, took)
}

func (e *ears) Inventory(p metrics.Place, list []metrics.Snapshot) {
	e.add("inventory %s: %s", p, shown(list...))
}

func (e *ears) Pruned(p metrics.Place, names ...string) { e.add("pruned %s: %q", p, names) }
func (e *ears) PruningFailed(at time.Time, message string) {
	e.add("pruning failed %s %s", at, message)
}

func (e *ears) Waiting(list []metrics.Snapshot)              { e.add("waiting: %s", shown(list...)) }
func (e *ears) Uploaded(x metrics.Snapshot, _ time.Duration) { e.add("uploaded %s", shown(x)) }
func (e *ears) MirrorDone(at time.Time, locked int)          { e.add("mirror done %s %d", at, locked) }

func (e *ears) Damaged(p metrics.Place, at time.Time, name, message string) {
	e.add("damaged %s %s %q %s", p, at, name, message)
}

func (e *ears) Whole(p metrics.Place, name string)    { e.add("whole %s %q", p, name) }
func (e *ears) Damages() []metrics.Damage             { return nil }
func (e *ears) Unlisted(message string)               { e.add("unlisted: %s", message) }
func (e *ears) Past() []metrics.Past                  { return nil }
func (e *ears) Blank() bool                           { return false }
func (e *ears) Remember([]metrics.Past)               {}
func (e *ears) Spare(metrics.Place) []string          { return nil }
func (e *ears) Recalled(k metrics.Kind, at time.Time) { e.add("recalled %s %s", k, at) }
func (e *ears) Rebuilt()                              { e.add("rebuilt") }

func (e *ears) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(e.heard, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(e.heard, "\n"), strings.Join(want, "\n"))
	}
}

func (e *ears) has(line string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.heard, line)
}

const first, second = "rolling_node-a_20000101T00 1000/5000@42", "rolling_node-a_20000101T01 1000/5000@42"

func TestRecorderHearsCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		e := listen(b)
		b.opts.Policy.Last = 1
		b.always.takes = 7 * time.Second
		b.runFor(61 * time.Minute)
		e.want(t,
			"inventory local: ", "schedule 0s every 1h0m0s", "rebuilt",
			"attempt snapshot 0s", "snapshot 7s "+first+" 2s 30ms", "schedule 1h0m0s every 1h0m0s", "inventory local: "+first, "pruned local: []",
			"attempt snapshot 1h0m0s", "snapshot 1h0m7s "+second+" 2s 30ms", "schedule 2h0m0s every 1h0m0s",
			"inventory local: "+second+", "+first, `pruned local: ["rolling_node-a_20000101T000000Z.db.zst"]`, "inventory local: "+second)
		if b.store.manifests != 2 {
			t.Errorf("%d manifests read, want one for each snapshot", b.store.manifests)
		}
	})
}

// What is removed or saved by hand between two runs is told within seconds, and nothing is told again.
func TestRecorderHearsOfWorkByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		x := taken(t, b.origin).Entry
		b.store.add(x)
		e := listen(b)
		go func() {
			time.Sleep(10 * time.Minute)
			if err := b.store.Remove(t.Context(), x.Name); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Minute)
			b.store.add(snapshot.Entry{Name: name(t, "manual", node, b.origin.Add(time.Hour)), Size: 5})
		}()
		b.runFor(50 * time.Minute)
		e.want(t, "inventory local: "+first, "snapshot 0s "+first+" 0s 0s", "schedule 1h0m0s every 1h0m0s", "rebuilt",
			"inventory local: ", "inventory local: manual_node-a_20000101T01 5/5000@42")
	})
}

// What lies in the directory is told first, with its own times: the newest rolling snapshot that no wrong clock dated, and
// all that is this node's.
func TestRecorderIsToldThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "30 * * * *")
		time.Sleep(5 * time.Hour)
		for _, x := range []struct {
			set, node string
			hour      int
		}{{"rolling", node, 1}, {"rolling", node, 3}, {"manual", node, 4}, {"rolling", "node-b", 4}, {"rolling", node, 9}} {
			b.store.add(snapshot.Entry{Name: name(t, x.set, x.node, b.origin.Add(time.Duration(x.hour)*time.Hour)), Size: int64(x.hour)})
		}
		e := listen(b)
		b.always = outcome{takes: time.Hour}
		b.runFor(time.Minute)
		e.want(t,
			"inventory local: rolling_node-a_20000101T09 9/5000@42, manual_node-a_20000101T04 4/5000@42, "+
				"rolling_node-a_20000101T03 3/5000@42, rolling_node-a_20000101T01 1/5000@42",
			"snapshot 3h0m0s rolling_node-a_20000101T03 3/5000@42 0s 0s",
			"schedule 3h30m0s every 1h0m0s", // which has passed
			"rebuilt",
			"attempt snapshot 5h0m0s") // and was cut off
	})
}

func TestRecorderHearsOfFailuresAndSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		e := listen(b)
		b.run = []outcome{{err: errDown}, {takes: time.Second, err: errors.New("strange")}, {err: fmt.Errorf("%w: the leader", daemon.ErrSkipped)}}
		b.runFor(time.Minute)
		e.want(t,
			"inventory local: ", "schedule 0s every 1h0m0s", "rebuilt",
			"attempt snapshot 0s", `failed snapshot 0s "" unreachable etcd is down`, "schedule 5s every 1h0m0s",
			"attempt snapshot 5s", `failed snapshot 6s "" other strange`, "schedule 16s every 1h0m0s",
			"attempt snapshot 16s", "skipped snapshot 16s role", "schedule 1h0m0s every 1h0m0s")
	})
}

func TestRecorderHearsOfPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		p := newPasses(b)
		b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin)})
		e := listen(b)
		p.broken = func(n int) bool { return n == 0 }
		b.runFor(10 * time.Second)
		e.want(t,
			"inventory local: rolling_node-a_20000101T00 0/5000@42", "snapshot 0s rolling_node-a_20000101T00 0/5000@42 0s 0s",
			"schedule 24h0m0s every 24h0m0s", "rebuilt",
			"attempt mirror 0s", `failed mirror 1s "" other bucket is down`, "attempt mirror 6s", "mirror done 7s 0")
	})
}

// The first answer comes once the first pass has ended, or has taken long enough.
func TestServeWaitsForThePastAndNotForLong(t *testing.T) {
	for pass, want := range map[time.Duration]time.Duration{0: 0, 2 * time.Second: 2 * time.Second, time.Hour: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			if pass > 0 {
				newPasses(b).takes = pass
			}
			began, ended := time.Duration(-1), time.Duration(-1)
			e := listen(b)
			b.opts.Serve = func(ctx context.Context) {
				began = time.Since(b.origin)
				if !e.has("rebuilt") {
					t.Error("answers before the past is known")
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
