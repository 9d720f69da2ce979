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

// damages is a bed whose note of damaged copies outlives its daemons. Each of them has metrics of its own.
type damages struct {
	*bed
	m     *metrics.Metrics
	mu    sync.Mutex
	kept  []metrics.Damage
	times int
	reads []string
	whole bool // what is read is
}

func newDamages(b *bed) *damages {
	d := &damages{bed: b}
	b.opts.Damages = daemon.Note[[]metrics.Damage]{
		Read: func() ([]metrics.Damage, error) { return d.kept, nil },
		Keep: func(all []metrics.Damage) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.kept = slices.Clone(all)
			d.times++
			return nil
		},
	}
	b.store.prove = func(n snapshot.Name) error {
		d.reads = append(d.reads, n.String())
		if d.whole {
			return nil
		}
		return fmt.Errorf("%w: still a bit", snapshot.ErrDamaged)
	}
	return d
}

// run is one life of a daemon.
func (d *damages) run(how time.Duration) {
	d.m = metrics.New(metrics.Options{Mirror: d.opts.Mirror != nil, Verify: d.opts.Drill != nil, Drill: d.opts.Drill != nil})
	d.opts.Recorder = d.m
	d.runFor(how)
}

func (d *damages) want(when string, names ...string) {
	d.t.Helper()
	var got []string
	for _, x := range d.m.Damages() {
		got = append(got, x.Name)
	}
	if !slices.Equal(got, names) || len(d.kept) != len(names) {
		d.t.Errorf("%s: %q are damaged, %+v is kept, want %q", when, got, d.kept, names)
	}
	_, reasons := d.m.Health(time.Now())
	if told := slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, "damage was found in ") }); told != (len(names) > 0) {
		d.t.Errorf("%s: reasons %q", when, reasons)
	}
}

// What a drill found damaged is known after each restart, also without drills, until it is gone, however many others pass.
func TestDamageOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		d := newDamages(b)
		x := newDrills(b, "30 1-23 * * *") // never at the moment of a cycle
		bad := taken(t, b.origin).Entry
		b.store.add(bad)
		b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return metrics.Damaged }
		x.end = func(n int) error { return map[bool]error{true: errNotWhole}[n == 0] }
		b.opts.Policy.Last = 10
		d.run(3*time.Hour + time.Minute)
		if len(x.begun) != 4 {
			t.Fatalf("drills began at %v", x.begun)
		}
		d.want("found", bad.Name.String())
		kept := d.times
		d.run(time.Second)
		b.opts.Drill = nil
		d.run(time.Second)
		d.want("without drills", bad.Name.String())
		if d.times != kept {
			t.Errorf("no news was kept %d times", d.times-kept)
		}
		if err := b.store.Remove(t.Context(), bad.Name); err != nil {
			t.Error(err)
		}
		d.run(time.Minute)
		d.want("gone")
	})
}

// A drill that comes to no verdict on the bytes takes nothing back.
func TestDamageOutlivesADrillThatBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDamages(b)
		x := newDrills(b, "@hourly")
		bad := taken(t, b.origin).Entry
		b.store.add(bad)
		why := []metrics.Reason{metrics.Damaged, metrics.Disk}
		b.opts.Reason = func(metrics.Kind, error) metrics.Reason { return why[min(len(x.begun), len(why))-1] }
		x.end = func(int) error { return errNotWhole }
		b.always = outcome{err: daemon.ErrSkipped} // of the snapshot that is asked for then
		d.run(61 * time.Minute)
		if len(x.begun) != 2 {
			t.Errorf("drills began at %v", x.begun)
		}
		d.want("broken off", bad.Name.String())
	})
}

// What the mirror found is kept at once.
func TestDamageOfTheMirrorIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDamages(b)
		bad := taken(t, b.origin).Entry
		b.store.add(bad)
		b.opts.Mirror = func(context.Context) (daemon.Mirrored, error) {
			time.Sleep(time.Second)
			d.m.Damaged(metrics.Local, time.Now(), bad.Name.String(), "a bit")
			return daemon.Mirrored{}, errors.New("a snapshot is damaged")
		}
		time.AfterFunc(2*time.Second, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.kept) != 1 || d.kept[0].Name != bad.Name.String() || d.kept[0].Message != "a bit" || d.kept[0].Place != metrics.Local {
				t.Errorf("kept %+v", d.kept)
			}
		})
		d.run(3 * time.Second)
		b.wantRuns(time.Second) // the newest is worth nothing
		b.opts.Mirror = nil
		d.run(time.Second)
		d.want("after a restart without a mirror", bad.Name.String())
	})
}

// Another file in the place of a damaged one is read before it is called whole, once for each time that it changes.
func TestReplacedFileIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDamages(b)
		x := taken(t, b.origin).Entry
		name := x.Name.String()
		b.store.add(x)
		d.kept = []metrics.Damage{{Name: name, Place: metrics.Local, At: b.origin.Add(time.Hour), Message: "a bit"}} // dated in the future
		d.run(time.Minute)
		d.want("as it was", name)
		if len(d.reads) > 0 {
			t.Errorf("read %q without a reason", d.reads)
		}
		replace := func() {
			if err := b.store.Remove(t.Context(), x.Name); err != nil {
				t.Error(err)
			}
			x.Modified = time.Now()
			b.store.add(x)
		}
		replace()
		d.run(5 * time.Minute)
		d.want("touched", name)
		if !slices.Equal(d.reads, []string{name}) {
			t.Errorf("read %q, want it once", d.reads)
		}
		d.whole = true
		replace()
		d.run(time.Minute)
		d.want("replaced")
		if len(d.reads) != 2 {
			t.Errorf("read %q", d.reads)
		}
	})
}

// goes is a store that can't be read for a while.
type goes struct {
	daemon.Store
	from, to time.Time
}

func (g goes) List() (snapshot.Listing, error) {
	if now := time.Now(); now.After(g.from) && now.Before(g.to) {
		return snapshot.Listing{}, errors.New("input/output error")
	}
	return g.Store.List()
}

// A directory that can't be read is told at the next look, and so is that it can be again.
func TestDirectoryGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.store.add(taken(t, b.origin).Entry)
		d := newDamages(b)
		told := func() bool {
			_, reasons := d.m.Health(time.Now())
			return slices.Contains(reasons, "the snapshots on the disk can't be read: input/output error")
		}
		b.opts.Store = goes{b.opts.Store, b.origin.Add(time.Minute), b.origin.Add(2 * time.Minute)}
		time.AfterFunc(2*time.Minute-time.Second, func() {
			if !told() {
				t.Error("it is not told")
			}
		})
		d.run(3 * time.Minute)
		if told() {
			t.Error("it is told for ever")
		}
	})
}
