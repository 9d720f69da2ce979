package daemon_test

import (
	"context"
	"slices"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// drills is a daemon.Drill of the newest snapshot in the bed's store, whose drill number n takes and ends as a test sets.
type drills struct {
	begun []time.Duration // since the bed's origin
	from  []status.Place
	takes time.Duration
	end   func(n int) error
	warn  []string
	bed   *bed

	journal func(n int) daemon.DrilledJournal // nil: there is none
}

func newDrills(b *bed, spec string) *drills {
	b.t.Helper()
	d := &drills{bed: b, takes: time.Second, end: func(int) error { return nil }}
	b.opts.Drill = &daemon.Drill{DrillSettings: daemon.DrillSettings{Schedule: parse(b.t, spec, 0, node), From: status.Local}, Do: d.do}
	return d
}

// onlyFirst is an end with which the first drill fails.
func onlyFirst(err error) func(int) error {
	return func(n int) error {
		if n > 0 {
			return nil
		}
		return err
	}
}

func always(err error) func(int) error { return func(int) error { return err } }

func (d *drills) do(ctx context.Context, from status.Place) (daemon.DrillReport, error) {
	n := len(d.begun)
	d.begun, d.from = append(d.begun, time.Since(d.bed.origin)), append(d.from, from)
	l, err := d.bed.store.List()
	if err != nil || len(l.Snapshots) == 0 {
		return daemon.DrillReport{}, snapshot.ErrNotFound
	}
	select {
	case <-ctx.Done():
		return daemon.DrillReport{}, ctx.Err()
	case <-time.After(d.takes):
	}
	r := daemon.DrillReport{Name: l.Snapshots[0].Name, Verify: time.Millisecond, Revision: 42, Keys: 7, Warnings: d.warn}
	if d.journal != nil {
		r.Journal = d.journal(n)
	}
	return r, d.end(n)
}

func (d *drills) want(begun ...time.Duration) {
	d.bed.t.Helper()
	if !slices.Equal(d.begun, begun) {
		d.bed.t.Errorf("drills began at\n%v, want\n%v", d.begun, begun)
	}
}
