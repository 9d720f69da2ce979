package daemon

import (
	"context"
	"errors"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// After a drill that failed or was skipped the next one comes sooner than the schedule has it: first after an hour, then
// after twice as long each time.
const (
	firstDrillPause = time.Hour
	maxDrillPause   = 24 * time.Hour
)

// drillLoop does a drill whenever one is due, beside the cycles: at once after the first snapshot of all.
func (d *Daemon) drillLoop(ctx context.Context) {
	if d.drills.fresh {
		d.waitSnapshot(ctx, maxPause)
	}
	empty := 0
	for d.waitDrill(ctx) {
		began := d.clock()
		d.Recorder.Attempt(metrics.Drill, began)
		d.drillBegan(began)
		r, err := d.Drill.Do(ctx)
		if ctx.Err() != nil {
			d.drillStopped()
			return
		}
		r.At = d.clock()
		r.Took = r.At.Sub(began)
		if errors.Is(err, snapshot.ErrNotFound) {
			d.Recorder.Skipped(metrics.Drill, r.At, metrics.NoSnapshot)
			d.drills.last.Due = time.Time{}
			d.drillStopped() // a crash in the wait for a snapshot is not the drill's
			if empty++; d.waitSnapshot(ctx, min(firstPause<<min(empty-1, 16), firstDrillPause)) {
				empty = 0
			}
			d.drills.next = d.clock()
			d.scheduleDrill(d.Drill.Schedule.Next(d.drills.next)) // nothing is due before there is one
			continue
		}
		empty = 0
		if d.drills.failures++; err == nil {
			d.drills.failures = 0
		}
		d.drilled(r, err)
	}
}

// nextDrill is the schedule's, or after a failure an earlier one.
func (d *Daemon) nextDrill(now time.Time, failures int) time.Time {
	next := d.Drill.Schedule.Next(now)
	if failures == 0 {
		return next
	}
	if again := now.Add(min(firstDrillPause<<min(failures-1, 16), maxDrillPause)); again.Before(next) {
		return again
	}
	return next
}

// waitDrill returns true once the next drill is due, or once the snapshot that the last one found bad is gone; false when ctx has
// ended. The clock may be set and the machine may sleep.
func (d *Daemon) waitDrill(ctx context.Context) bool {
	for ctx.Err() == nil {
		now := d.clock()
		// Later than the next one from now on it can be only because the clock was set back.
		if next := d.Drill.Schedule.Next(now); next.Before(d.drills.next) {
			d.drills.next = next
			d.scheduleDrill(next)
		}
		left := d.drills.next.Sub(now)
		if left <= 0 || d.gone() {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(left, lookInterval)):
		}
	}
	return false
}

// waitSnapshot returns once a snapshot was taken, with true, or after so long: one that is wanted from the bucket comes there later.
func (d *Daemon) waitSnapshot(ctx context.Context, limit time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-d.taken:
		return true
	case <-time.After(limit):
	}
	return false
}
