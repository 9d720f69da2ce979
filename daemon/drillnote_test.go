package daemon_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
)

// A drill that can't be done for want of something stays due over restarts, and is tried at each start.
func TestDrillLeftOutStaysDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 10 * time.Second}}
		d := newDrills(b, "@weekly")
		d.end = func(int) error { return daemon.ErrSkipped }
		b.runFor(time.Minute)
		e := listen(b)
		b.runFor(time.Minute)
		d.want(10*time.Second, time.Minute)
		rebuilt := slices.Index(e.heard, "rebuilt")
		var got []string
		for _, s := range e.heard[:rebuilt] {
			if strings.HasPrefix(s, "schedule drill") {
				got = append(got, s)
			}
		}
		if want := []string{"schedule drill 0s every 168h0m0s", "schedule drill 1m0s every 168h0m0s"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// When the snapshot that a drill found bad is removed, the next drill comes at once, in a running daemon and at its start.
func TestDrillAfterTheBadOneIsGone(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@daily")
			d := newDrills(b, "@weekly")
			d.end = func(n int) error { return map[bool]error{true: errNotWhole}[n == 0] }
			good, bad := taken(t, b.origin.Add(-time.Hour)).Entry, taken(t, b.origin).Entry
			b.store.add(good, bad)
			remove := func() {
				if err := b.store.Remove(context.Background(), bad.Name); err != nil {
					t.Error(err)
				}
			}
			if restart {
				b.runFor(10 * time.Minute)
				remove()
				b.runFor(time.Minute)
			} else {
				time.AfterFunc(10*time.Minute, remove)
				b.runFor(11 * time.Minute)
			}
			if len(d.begun) != 2 || d.begun[1] < 10*time.Minute || d.begun[1] > 10*time.Minute+15*time.Second {
				t.Errorf("restart %t: drills began at %v", restart, d.begun)
			}
			if last := d.kept[len(d.kept)-1]; last.Name == bad.Name.String() || last.Error != "" || last.Reason != metrics.Reason("") {
				t.Errorf("restart %t: kept %+v", restart, last)
			}
		})
	}
}

// What was found out about copies in one place is no word on those in the other, which are drilled now.
func TestDrillOfAnotherPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return metrics.Damaged }
		d.end = func(n int) error { return map[bool]error{true: errNotWhole}[n == 0] }
		b.opts.Drill.Here = false
		b.store.add(taken(t, b.origin).Entry)
		b.runFor(time.Minute)
		b.opts.Drill.Here = true
		e := listen(b)
		b.runFor(time.Minute)
		d.want(0, time.Minute)
		if slices.ContainsFunc(e.heard, func(s string) bool { return strings.HasPrefix(s, "failed ") }) {
			t.Errorf("heard %q", e.heard)
		}
	})
}

// A drill that ended with the daemon may have been why: it waits for its turn, and stays due. One that a stop has cut off does not.
func TestDrillThatWasCutOff(t *testing.T) {
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@daily")
			d := newDrills(b, "@weekly")
			d.takes = time.Hour
			b.store.add(taken(t, b.origin).Entry)
			b.runFor(10 * time.Minute)
			if last := d.kept[len(d.kept)-1]; !last.Began.IsZero() || last.Due != b.origin {
				t.Errorf("a stop leaves %+v", last)
			}
			want := []time.Duration{0, 10 * time.Minute}
			if crash {
				d.kept = d.kept[:len(d.kept)-1]
				want[1] = time.Hour
			}
			e := listen(b)
			b.runFor(70 * time.Minute)
			d.want(want...)
			if !e.has("schedule drill 0s every 168h0m0s") {
				t.Errorf("crash %t: it is not due any more: %q", crash, e.heard)
			}
		})
	}
}

// A drill that found nothing to work on is over and nothing of it is due: a crash while it waits for a snapshot is none of the drill's.
func TestDrillWithoutASnapshotIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.always = outcome{err: errDown}
		d := newDrills(b, "@weekly")
		var at []time.Time
		b.opts.Drill.Note.Keep = func(r daemon.DrillReport) error {
			at = append(at, time.Now())
			return d.keep(r)
		}
		b.runFor(20 * time.Minute)
		if len(d.begun) < 2 || len(d.kept) < 2*len(d.begun) {
			t.Fatalf("drills began at %v, kept %+v", d.begun, d.kept)
		}
		for i, r := range d.kept[:len(d.kept)-1] {
			if over := d.kept[i+1]; !r.Began.IsZero() && (at[i+1] != at[i] || !over.Began.IsZero() || !over.Due.IsZero()) {
				t.Errorf("a drill began at %s, then kept at %s: %+v", r.Began.Sub(b.origin), at[i+1].Sub(b.origin), over)
			}
		}
	})
}

// A note that a wrong clock has dated in the future keeps no drill away, and neither does a clock that is set back.
func TestDrillOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		far := b.origin.Add(10 * 365 * 24 * time.Hour)
		d.kept = []daemon.DrillReport{{Name: "x", At: far, Passed: far}}
		b.store.add(taken(t, b.origin).Entry)
		b.runFor(time.Minute)
		d.want(0)
		if warned := b.lines(atWarning); len(warned) != 1 || !strings.Contains(warned[0], "in the future") {
			t.Errorf("warned %q", warned)
		}
	})
}

// A file that was put in the place of the damaged one is drilled at once.
func TestDrillAfterTheBadOneIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		d.end = func(n int) error { return map[bool]error{true: errNotWhole}[n == 0] }
		x := taken(t, b.origin).Entry
		b.store.add(x)
		time.AfterFunc(10*time.Minute, func() {
			if err := b.store.Remove(context.Background(), x.Name); err != nil {
				t.Error(err)
			}
			x.Modified = time.Now()
			b.store.add(x)
		})
		b.runFor(11 * time.Minute)
		if len(d.begun) != 2 || d.begun[1] > 10*time.Minute+15*time.Second {
			t.Errorf("drills began at %v", d.begun)
		}
	})
}
