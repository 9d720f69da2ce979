package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

var errNotWhole = fmt.Errorf("drill: compare: %w: 3 keys are missing", snapshot.ErrDamaged)

// drills is a daemon.Drill whose drill number n ends as it is told to.
type drills struct {
	begun []time.Duration // since the bed's origin
	takes time.Duration
	end   func(n int) error
	kept  []daemon.DrillReport
	bed   *bed
}

func newDrills(b *bed, spec string) *drills {
	b.t.Helper()
	s, err := daemon.ParseSchedule(spec, 0, node)
	if err != nil {
		b.t.Fatal(err)
	}
	d := &drills{bed: b, takes: time.Second, end: func(int) error { return nil }}
	b.opts.Drill = &daemon.Drill{Schedule: s, Do: d.do, Here: true, Note: daemon.Note[daemon.DrillReport]{Read: d.last, Keep: d.keep}}
	return d
}

func (d *drills) do(ctx context.Context) (daemon.DrillReport, error) {
	n := len(d.begun)
	d.begun = append(d.begun, time.Since(d.bed.origin))
	names := d.bed.store.names()
	if len(names) == 0 {
		return daemon.DrillReport{}, snapshot.ErrNotFound
	}
	select {
	case <-ctx.Done():
		return daemon.DrillReport{}, ctx.Err()
	case <-time.After(d.takes):
	}
	return daemon.DrillReport{Name: names[0], Revision: 42, Keys: 7}, d.end(n)
}

func (d *drills) last() (daemon.DrillReport, error) {
	if len(d.kept) == 0 {
		return daemon.DrillReport{}, nil
	}
	return d.kept[len(d.kept)-1], nil
}

func (d *drills) keep(r daemon.DrillReport) error {
	d.kept = append(d.kept, r)
	return nil
}

// ended are the reports of drills that are over.
func (d *drills) ended() []daemon.DrillReport {
	return slices.DeleteFunc(slices.Clone(d.kept), func(r daemon.DrillReport) bool { return !r.Began.IsZero() })
}

func (d *drills) want(begun ...time.Duration) {
	d.bed.t.Helper()
	if !slices.Equal(d.begun, begun) {
		d.bed.t.Errorf("drills began at\n%v, want\n%v", d.begun, begun)
	}
}

// The first snapshot of all is drilled at once, then the schedule has its way, over restarts too.
func TestDrillAfterTheFirstSnapshotAndOnItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "0 3 * * *")
		b.runFor(2 * time.Hour)
		d.want(10 * time.Second) // and not before there is one
		b.runFor(26 * time.Hour)
		d.want(10*time.Second, 3*time.Hour, 27*time.Hour)
		if r := d.ended()[0]; r.At.Sub(b.origin) != 11*time.Second || r.Took != time.Second || r.Error != "" || r.Keys != 7 {
			t.Errorf("kept %+v", r)
		}
	})
}

// After a failure the pauses grow from an hour to a day; one that is left out is none, and of it is kept only that it is still due.
func TestDrillThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@weekly")
		d.end = func(n int) error {
			switch {
			case n == 0:
				return errNotWhole
			case n < 4:
				return fmt.Errorf("%w: too little memory", daemon.ErrSkipped)
			}
			return nil
		}
		b.runFor(20 * time.Hour)
		// Each takes a second.
		after := func(hours, seconds time.Duration) time.Duration { return hours*time.Hour + seconds*time.Second }
		d.want(after(0, 10), after(1, 11), after(3, 12), after(7, 13), after(15, 14))
		for i, r := range d.ended() {
			if failed := i < 4; failed != (r.Error == errNotWhole.Error()) || failed != (r.Failures == 1) || failed == r.Due.IsZero() {
				t.Errorf("kept %+v", r)
			}
		}
		b.wantLines(atError, "restore drill failed: this snapshot might not come back")
		b.wantLines(atWarning, "restore drill left out", "restore drill left out", "restore drill left out")
	})
}

// What was before the start is told before anybody asks; a failure is looked into again soon.
func TestDrillIsRecalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@weekly")
		d.end = func(int) error { return errNotWhole }
		b.runFor(time.Minute)
		e := listen(b)
		b.runFor(time.Minute)
		failed := slices.IndexFunc(e.heard, func(s string) bool { return len(s) > 12 && s[:12] == "failed drill" })
		rebuilt := slices.Index(e.heard, "rebuilt")
		if failed < 0 || failed > rebuilt {
			t.Errorf("the failed drill is told at %d, rebuilt at %d of %q", failed, rebuilt, e.heard)
		}
		b.runFor(time.Hour)
		d.want(10*time.Second, time.Hour+11*time.Second) // an hour after the failed one, not sooner for the restarts
	})
}

// What a drill finds out about the bytes is told as their verification, which is a part of the drill. What etcd makes of bytes that are
// whole is the drill's alone, and of one that failed in another way nobody knows how far it came.
func TestDrillThatFindsDamage(t *testing.T) {
	for reason, verified := range map[metrics.Reason]string{
		metrics.Damaged: "failed", metrics.Start: "verified", metrics.Contents: "verified", metrics.Disk: "", metrics.Other: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			e := listen(b)
			b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return reason }
			d := newDrills(b, "@weekly")
			d.end = func(int) error { return errNotWhole }
			x := taken(t, time.Now()).Entry
			b.store.add(x)
			b.runFor(time.Minute)
			told := slices.DeleteFunc(e.heard, func(s string) bool {
				return !strings.HasPrefix(s, "failed ") && !strings.HasPrefix(s, "verified ")
			})
			line := func(k metrics.Kind, at time.Duration) string {
				return fmt.Sprintf("failed %s %s %q %s %s", k, at, x.Name.String(), reason, errNotWhole)
			}
			want := []string{line(metrics.Drill, time.Second)}
			switch verified {
			case "failed": // as of the moment when reading it began
				want = slices.Insert(want, 0, line(metrics.Verify, 0))
			case "verified":
				want = slices.Insert(want, 0, "verified 1s "+x.Name.String()+" 0s")
			}
			if !slices.Equal(told, want) {
				t.Errorf("%s: heard %q, want %q", reason, told, want)
			}
		})
	}
}

// The newest snapshot that is worth nothing is not waited on: the next one is taken at once, and the schedule goes on as before.
func TestDamageBringsASnapshot(t *testing.T) {
	for reason, want := range map[metrics.Reason][]time.Duration{
		metrics.Damaged:  {0, 11 * time.Second, time.Hour, 2 * time.Hour},
		metrics.Contents: {0, 11 * time.Second, time.Hour, 2 * time.Hour},
		metrics.Start:    {0, time.Hour, 2 * time.Hour},
		metrics.Disk:     {0, time.Hour, 2 * time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			b.run = []outcome{{takes: 10 * time.Second}}
			b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return reason }
			d := newDrills(b, "@weekly")
			d.end = func(n int) error {
				if n == 0 {
					return errNotWhole
				}
				return nil
			}
			b.runFor(150 * time.Minute)
			b.wantRuns(want...)
			if reason == metrics.Damaged {
				b.wantLines(atWarning, "taking a snapshot now, for the newest one can't be relied on")
			}
		})
	}
}

// Where a newer one lies there already, none is asked for: the drill took long, or the bucket's newest is an old one.
func TestDamageOfAnOldOneBringsNoSnapshot(t *testing.T) {
	for _, here := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return metrics.Damaged }
			d := newDrills(b, "@weekly")
			d.end = func(int) error { return errNotWhole }
			d.takes = 90 * time.Minute
			b.opts.Drill.Here = here
			b.store.add(taken(t, b.origin).Entry)
			b.runFor(150 * time.Minute)
			if r := d.ended(); len(r) == 0 || r[0].Error == "" || r[0].At.Sub(b.origin) != 90*time.Minute {
				t.Fatalf("kept %+v", r)
			}
			b.wantRuns(time.Hour, 2*time.Hour)
		})
	}
}

// Where each new one is bad as well, and the policy prunes the bad one for it, there is one an hour and no storm.
func TestDamageBringsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.opts.Policy = retention.Policy{Last: 1}
		b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return metrics.Damaged }
		d := newDrills(b, "@weekly")
		d.end = func(int) error { return errNotWhole }
		b.runFor(3*time.Hour - time.Minute)
		// A drill of each snapshot, and another after an hour and after two: both ask for one more.
		b.closing(3)
		if len(d.begun) > 5 {
			t.Errorf("drills began at %v", d.begun)
		}
	})
}

// A note that can't be read costs a drill, not the daemon.
func TestDrillNoteIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		d := newDrills(b, "@weekly")
		b.opts.Drill.Note.Read = func() (daemon.DrillReport, error) { return daemon.DrillReport{}, errors.New("no JSON") }
		b.store.add(taken(t, time.Now().Add(-time.Minute)).Entry)
		b.runFor(time.Minute)
		d.want(0)
		b.wantLines(atWarning, "the last drill is not known any more; doing one")
	})
}

// When a drill last passed outlives the failures after it, and a restart.
func TestDrillThatPassedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@every 1m")
		d.end = func(n int) error {
			if n > 0 {
				return errNotWhole
			}
			return nil
		}
		b.runFor(5 * time.Minute)
		e := listen(b)
		b.runFor(time.Second)
		last := d.kept[len(d.kept)-1]
		if last.Error == "" || last.Passed.Sub(b.origin) != 11*time.Second {
			t.Errorf("kept %+v", last)
		}
		recalled := slices.IndexFunc(e.heard, func(s string) bool { return s == "recalled drill 11s" })
		if rebuilt := slices.Index(e.heard, "rebuilt"); recalled < 0 || recalled > rebuilt {
			t.Errorf("the one that passed is told at %d, rebuilt at %d of %q", recalled, rebuilt, e.heard)
		}
	})
}
