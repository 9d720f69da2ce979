package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// A failed drill is known right after the start, and repeated when it would have been without the restarts.
func TestFailedDrillIsKnownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@weekly")
		d.end = always(errStart)
		b.runFor(time.Minute)
		b.runFor(time.Minute)
		if j := b.job(status.Drill); j.Failures != 1 || j.Reason != status.Start || b.since(j.Failed) != 11*time.Second || b.since(j.Next) != time.Hour+11*time.Second {
			t.Errorf("after the restart: %+v", j)
		}
		b.runFor(time.Hour)
		d.want(10*time.Second, time.Hour+11*time.Second)
	})
}

// When a drill last passed outlives the failures after it, and a restart.
func TestLastPassedDrillIsKnownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@every 1m")
		d.end = func(n int) error { return map[bool]error{true: errStart}[n > 0] }
		b.runFor(5 * time.Minute)
		b.runFor(time.Second)
		if j := b.job(status.Drill); j.Failures < 2 || b.since(j.Success) != 11*time.Second {
			t.Errorf("after the restart: %+v", j)
		}
	})
}

// A lost status costs a drill, not the daemon.
func TestDrillIsDoneWhenTheStatusIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		d := newDrills(b, "@weekly")
		b.store.add(taken(t, b.origin).Entry)
		b.runFor(time.Minute)
		b.lost, b.notes.files[snapshot.StatusFile(node)] = true, []byte("no JSON")
		b.runFor(time.Minute)
		d.want(0, time.Minute)
	})
}

// A drill that can't be done, for example for want of memory, stays due over restarts, and is tried at each start.
func TestSkippedDrillStaysDueAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@weekly")
		d.end = always(daemon.ErrSkipped)
		b.runFor(time.Minute)
		b.runFor(time.Minute)
		d.want(10*time.Second, time.Minute)
		if j := b.job(status.Drill); b.since(j.Due) != 0 || j.Interval != 7*24*time.Hour || j.Failures != 0 {
			t.Errorf("after the restart: %+v", j)
		}
	})
}

// When the snapshot that failed its drill is removed, the next drill comes immediately, in a running daemon and at its start.
func TestDrillFollowsTheRemovalOfTheBadSnapshot(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@daily")
			d := newDrills(b, "@weekly")
			d.end = onlyFirst(errStart)
			good, bad := taken(t, b.origin.Add(-time.Hour)).Entry, taken(t, b.origin).Entry
			b.store.add(good, bad)
			remove := func() {
				if err := b.store.Remove(t.Context(), bad.Name); err != nil {
					t.Error(err)
				}
			}
			if restart {
				b.runFor(10 * time.Minute)
				remove()
				b.runFor(time.Minute)
			} else {
				b.at(10*time.Minute, remove)
				b.runFor(11 * time.Minute)
			}
			if len(d.begun) != 2 || d.begun[1] < 10*time.Minute || d.begun[1] > 10*time.Minute+15*time.Second {
				t.Errorf("restart %t: drills began at %v", restart, d.begun)
			}
			if j := b.job(status.Drill); j.Name == bad.Name || j.Failures != 0 || j.Message != "" {
				t.Errorf("restart %t: %+v", restart, j)
			}
		})
	}
}

// A file that was put in the place of the bad one is drilled immediately.
func TestDrillFollowsTheReplacementOfTheBadSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		d.end = onlyFirst(errStart)
		x := taken(t, b.origin).Entry
		b.store.add(x)
		b.at(10*time.Minute, func() {
			if err := b.store.Remove(t.Context(), x.Name); err != nil {
				t.Error(err)
			}
			x.Modified = time.Now()
			b.store.add(x)
		})
		b.runFor(11 * time.Minute)
		if len(d.begun) != 2 || d.begun[1] < 10*time.Minute || d.begun[1] > 10*time.Minute+15*time.Second {
			t.Errorf("drills began at %v", d.begun)
		}
	})
}

// What was found out about copies in one place says nothing about those in the other, which are drilled now.
func TestDrillOfAnotherPlaceBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		d.end = onlyFirst(errDamage)
		d.takes = 2 * time.Second
		b.opts.Drill.From = status.S3
		b.store.add(taken(t, b.origin).Entry)
		b.runFor(time.Minute)
		b.opts.Drill.From = status.Local
		b.at(61*time.Second, func() {
			for _, j := range []status.Job{status.Drill, status.Verify} {
				if x := b.job(j); x.Failures != 0 || !x.Failed.IsZero() {
					t.Errorf("%s: known of the other place: %+v", j, x)
				}
			}
		})
		b.runFor(time.Minute)
		d.want(0, time.Minute)
	})
}

// A drill that a crash interrupted may have been the reason: it waits for its turn, and stays due. One that a stop has aborted does not wait.
func TestInterruptedDrillWaitsAfterACrash(t *testing.T) {
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@daily")
			d := newDrills(b, "@weekly")
			d.takes = time.Hour
			b.store.add(taken(t, b.origin).Entry)
			second := 10 * time.Minute
			if crash {
				b.crashAfter(10 * time.Minute)
				second = time.Hour
			} else {
				b.runFor(10 * time.Minute)
				if j := b.job(status.Drill); j.Running || b.since(j.Due) != 0 {
					t.Errorf("a stop leaves %+v", j)
				}
			}
			b.at(59*time.Minute, func() {
				if j := b.job(status.Drill); b.since(j.Due) != 0 || j.Running == crash {
					t.Errorf("crash %t: %+v", crash, j)
				}
			})
			b.runFor(59*time.Minute + 30*time.Second)
			d.want(0, second)
		})
	}
}

// A drill that found nothing to work on is over: a crash while it waits for a snapshot is not the drill's.
func TestDrillWithoutASnapshotIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.always = outcome{err: errDown}
		d := newDrills(b, "@weekly")
		b.crashAfter(20 * time.Minute)
		if len(d.begun) < 2 {
			t.Fatalf("drills began at %v", d.begun)
		}
		b.always = outcome{}
		b.runFor(time.Minute)
		if last := d.begun[len(d.begun)-1]; last != 20*time.Minute {
			t.Errorf("drills began at %v; the first snapshot was taken at %v", d.begun, b.begun)
		}
		if j := b.job(status.Drill); j.Failures != 0 || b.since(j.Success) != 20*time.Minute+time.Second {
			t.Errorf("after the restart: %+v", j)
		}
	})
}

// What a wrong clock has dated in the future keeps no drill away.
func TestDrillOfTheFutureIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		far := b.origin.Add(10 * 365 * 24 * time.Hour)
		s := status.State{Jobs: map[status.Job]status.JobState{status.Drill: {Attempt: far, Success: far, Settled: far}}, DrillFrom: status.Local}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		b.notes.files[snapshot.StatusFile(node)] = data
		b.store.add(taken(t, b.origin).Entry)
		b.runFor(time.Minute)
		d.want(0)
	})
}

// A drill fails, and all later ones are skipped for lack of memory. It is a reason while its snapshot exists, with the name over
// restarts. After that it is not known whether the snapshots can be restored, until the drill is overdue.
func TestFailedDrillIsAReasonUntilItsSnapshotIsGone(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			d := newDrills(b, "@weekly")
			d.end = func(n int) error { return map[bool]error{true: errStart, false: daemon.ErrSkipped}[n == 0] }
			want := func(code status.Code, texts ...string) {
				t.Helper()
				got := b.status.Problems()
				if code == "" && len(got) == 0 {
					return
				}
				if len(got) != 1 || got[0].Code != code {
					t.Fatalf("restarts %t, after %s: %+v, want %q", restarts, time.Since(b.origin), got, code)
				}
				for _, x := range texts {
					if !strings.Contains(got[0].Text, x) {
						t.Errorf("restarts %t, after %s: %s lacks %q", restarts, time.Since(b.origin), got[0].Text, x)
					}
				}
			}
			life := func(until time.Duration, check func()) {
				if !restarts {
					b.at(until, check)
					return
				}
				b.runFor(until - time.Since(b.origin))
				check()
			}
			first := snapshot.Name{Set: snapshot.RollingSet, Node: node, Time: b.origin}
			life(10*time.Minute, func() { want(status.CodeDrillFailed, "restore drill of "+first.String()+" failed: "+errStart.Error()) })
			life(170*time.Minute, func() { want(status.CodeDrillFailed, first.String()) })
			life(5*time.Hour+time.Minute, func() { want("") })
			life(25*time.Hour+time.Minute, func() {
				want(status.CodeDrillLate, "the last one was skipped: "+daemon.ErrSkipped.Error(), "the last one that ran failed at 2000-01-01 00:00:01 UTC")
			})
			if !restarts {
				b.runFor(26 * time.Hour)
			}
		})
	}
}
