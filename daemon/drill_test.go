package daemon_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
)

// The first snapshot of all is drilled immediately, then the schedule decides, over restarts too.
func TestDrillFollowsTheFirstSnapshotAndItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "0 3 * * *")
		b.runFor(2 * time.Hour)
		d.want(10 * time.Second) // and not before there is one
		j, v := b.job(status.Drill), b.job(status.Verify)
		if b.since(j.Attempt) != 10*time.Second || b.since(j.Success) != 11*time.Second || j.Name.String() != b.hourly(0)[0] || b.since(j.Next) != 3*time.Hour || j.Interval != 24*time.Hour {
			t.Errorf("after the first drill: %+v", j)
		}
		if v.Success != j.Success || v.Name != j.Name {
			t.Errorf("its verification: %+v", v)
		}
		b.runFor(26 * time.Hour)
		d.want(10*time.Second, 3*time.Hour, 27*time.Hour)
		if s := b.status.State().Counters.Stages; s[status.StageDrill].Count != 2 || s[status.StageVerify].Count != 2 {
			t.Errorf("counted %+v", s)
		}
	})
}

// What fails after a drill is logged, and the drill has passed all the same.
func TestFailedCleanUpAfterADrillIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		newDrills(b, "@daily").warn = []string{"remove scratch directory /x: busy"}
		b.runFor(time.Minute)
		b.wantLines(atWarning, "cleaning up after the restore drill failed; the next one tries again")
		if j := b.job(status.Drill); j.Failures != 0 || j.Success.IsZero() {
			t.Errorf("after the drill: %+v", j)
		}
	})
}

// After a failure the pauses grow from an hour to a day. A drill that is skipped does not end the failure, and the drill stays due.
func TestFailedDrillIsRepeatedWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@weekly")
		d.end = func(n int) error {
			switch {
			case n == 0:
				return errStart
			case n < 4:
				return fmt.Errorf("%w: too little memory", daemon.ErrSkipped)
			}
			return nil
		}
		for _, at := range []time.Duration{30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 14 * time.Hour} {
			b.at(at, func() {
				j := b.job(status.Drill)
				if j.Failures != 1 || j.Message != errStart.Error() || b.since(j.Due) != 0 || (j.Skipped == status.LowMemory) != (at > time.Hour) {
					t.Errorf("after %s: %+v", at, j)
				}
			})
		}
		b.runFor(20 * time.Hour)
		// Each takes a second.
		after := func(hours, seconds time.Duration) time.Duration { return hours*time.Hour + seconds*time.Second }
		d.want(after(0, 10), after(1, 11), after(3, 12), after(7, 13), after(15, 14))
		b.wantLines(atError, "restore drill failed: this snapshot may not be restorable")
		b.wantLines(atWarning, "restore drill skipped", "restore drill skipped", "restore drill skipped")
		if j := b.job(status.Drill); j.Failures != 0 || b.since(j.Success) != after(15, 15) || !j.Due.Equal(j.Next) {
			t.Errorf("after it passed: %+v", j)
		}
	})
}

// What a drill finds out about the bytes counts as their verification, which is a part of the drill. What etcd makes of intact bytes is the
// drill's alone, and of one that failed in another way nobody knows how far it came.
func TestDrillReportsItsVerification(t *testing.T) {
	for reason, want := range map[status.Reason]status.JobState{
		status.Damaged: {Failures: 1}, status.Start: {Success: time.Now()}, status.Contents: {Success: time.Now()}, status.Disk: {}, status.Other: {},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			b.opts.Reason = fixed(reason)
			newDrills(b, "@weekly").end = always(errDamage)
			x := taken(t, time.Now()).Entry
			b.store.add(x)
			b.at(1500*time.Millisecond, func() { // when the next one, which follows soon if this one was damaged, has not ended
				j, v := b.job(status.Drill), b.job(status.Verify)
				if j.Failures != 1 || j.Reason != reason || j.Message != errDamage.Error() || b.since(j.Failed) != time.Second || j.Name != x.Name {
					t.Errorf("%s: the drill: %+v", reason, j)
				}
				if v.Failures != want.Failures || v.Success.IsZero() != want.Success.IsZero() {
					t.Errorf("%s: its verification: %+v", reason, v)
				}
				if v.Failures > 0 && (v.Reason != status.Damaged || v.Message != errDamage.Error() || v.Name != x.Name) {
					t.Errorf("%s: its verification: %+v", reason, v)
				}
				damages := b.status.State().Damages()
				if found := len(damages) == 1 && b.since(damages[0].Found) == 0; found != (reason == status.Damaged) {
					t.Errorf("%s: damaged copies %+v", reason, damages) // found as of the moment when reading it began
				}
			})
			b.runFor(2 * time.Second)
		})
	}
}

// The newest snapshot that can't be relied on is replaced immediately, and the schedule goes on as before.
func TestBadNewestSnapshotIsReplaced(t *testing.T) {
	for reason, want := range map[status.Reason][]time.Duration{
		status.Damaged:  {0, 11 * time.Second, time.Hour, 2 * time.Hour},
		status.Contents: {0, 11 * time.Second, time.Hour, 2 * time.Hour},
		status.Start:    {0, time.Hour, 2 * time.Hour},
		status.Disk:     {0, time.Hour, 2 * time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			b.run = []outcome{{takes: 10 * time.Second}}
			b.opts.Reason = fixed(reason)
			newDrills(b, "@weekly").end = onlyFirst(errDamage)
			b.runFor(150 * time.Minute)
			b.wantRuns(want...)
			if len(want) > 3 {
				b.wantLines(atWarning, msgReplacing)
			}
		})
	}
}

// Where a newer one lies there already, none is taken: the drill took long, or the bucket's newest is an old one.
func TestBadOldSnapshotIsNotReplaced(t *testing.T) {
	for _, from := range status.Places() {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			d := newDrills(b, "@weekly")
			d.end, d.takes = onlyFirst(errDamage), 90*time.Minute
			b.opts.Drill.From = from
			b.store.add(taken(t, b.origin).Entry)
			b.runFor(150 * time.Minute)
			if got := b.status.State().History; len(got) == 0 || got[0].Reason != status.Damaged || b.since(got[0].At) != 90*time.Minute {
				t.Fatalf("history %+v", got)
			}
			b.wantRuns(time.Hour, 2*time.Hour)
		})
	}
}

// Where each new one is bad as well there is one an hour, no fewer and no storm.
func TestBadSnapshotsAreReplacedOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.opts.Policy = retention.Policy{Last: 1}
		newDrills(b, "@weekly").end = always(errDamage)
		b.runFor(3*time.Hour - time.Minute)
		if len(b.begun) != 4 || b.begun[1] > time.Minute {
			t.Fatalf("snapshots at %v", b.begun)
		}
		for i, at := range b.begun[2:] {
			if gap := at - b.begun[i+1]; gap < time.Hour || gap > time.Hour+time.Minute {
				t.Errorf("snapshots at %v", b.begun)
			}
		}
	})
}

// A damaged object in the bucket stays known until a drill has read it in full and found it intact: one that is interrupted takes nothing
// back, nor does a restart. It is no file to be set aside.
func TestDamageInS3StaysUntilADrillPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@hourly")
		b.opts.Drill.From = status.S3
		newPasses(b)
		bad := taken(t, b.origin).Entry
		b.store.add(bad)
		ends := []error{errDamage, errStart, nil}
		d.end = func(n int) error { return ends[min(n, 2)] }
		why := []status.Reason{status.Damaged, status.Disk}
		b.opts.Reason = func(status.Job, error) status.Reason { return why[min(len(d.begun), len(why))-1] }
		b.always = outcome{err: daemon.ErrSkipped} // of the snapshot that is to replace it
		b.at(500*time.Millisecond, func() {
			b.status.SetInventory(status.S3, []status.Copy{{Name: bad.Name, Size: bad.Size}}, nil)
		})
		damaged := func(want bool) {
			t.Helper()
			if got := b.status.State().Damages(); len(got) > 0 != want || want && (got[0].Place != status.S3 || got[0].Name != bad.Name) {
				t.Errorf("after %s and %d drills damage is known of %+v", time.Since(b.origin), len(d.begun), got)
			}
		}
		b.at(time.Minute, func() { damaged(true) })
		b.runFor(61 * time.Minute)
		damaged(true)
		b.runFor(time.Minute)
		damaged(true)
		b.runFor(time.Hour)
		damaged(false)
		if got := b.store.readAgainNames(); len(got) > 0 || len(d.begun) != 3 {
			t.Errorf("%d drills, read again on the disk: %q", len(d.begun), got)
		}
	})
}

// A drill without a snapshot to work on waits for one, with pauses.
func TestDrillWaitsForASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.run = slices.Repeat([]outcome{{err: errDown}}, 8) // the ninth run comes after 15 min 15 s
		d := newDrills(b, "@weekly")
		b.runFor(20 * time.Minute)
		last := d.begun[len(d.begun)-1]
		if want := b.begun[len(b.begun)-1]; last != want || len(d.begun) > 12 {
			t.Errorf("drills began at %v, the first snapshot was taken at %s", d.begun, want)
		}
		if j := b.job(status.Drill); b.since(j.Success) != last+time.Second || j.Failures != 0 {
			t.Errorf("%+v", j)
		}
		if n := b.status.State().Counters.Runs[status.Run{Job: status.Drill, Result: status.Skipped, Reason: status.NoSnapshot}]; n != len(d.begun)-1 {
			t.Errorf("%d drills counted as without a snapshot of %v", n, d.begun)
		}
		b.wantLines(atWarning)
	})
}
