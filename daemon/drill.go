package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// After a drill that failed or was skipped the next one comes sooner than the schedule has it: first after an hour, then
// after twice as long each time.
const (
	firstDrillPause = time.Hour
	maxDrillPause   = 24 * time.Hour
)

// Drill says how the newest snapshot is proven by restoring it for a test, and when.
type Drill struct {
	Schedule Schedule
	// Do does one. Nothing to work on wraps snapshot.ErrNotFound; one that was left out, for disk or memory are short,
	// ErrSkipped. The report counts beside an error too.
	Do func(ctx context.Context) (DrillReport, error)
	// Last is the drill that Keep kept last, the zero value when there was none.
	Last func() (DrillReport, error)
	Keep func(DrillReport) error
}

// DrillReport is a drill that passed or failed.
type DrillReport struct {
	Name     string         `json:"name"` // of the snapshot; "" when none was reached
	At       time.Time      `json:"at"`   // when it ended
	Took     time.Duration  `json:"took"`
	Verify   time.Duration  `json:"verify,omitempty"` // the part of Took in which the snapshot was proven whole
	Revision int64          `json:"revision,omitempty"`
	Keys     int64          `json:"keys,omitempty"`
	Reason   metrics.Reason `json:"reason,omitempty"` // of a failure
	Error    string         `json:"error,omitempty"`  // "": it passed
	Passed   time.Time      `json:"passed,omitzero"`  // when the last one that passed ended, which may be this one
}

// recall tells of the last drill before the start, and gives it back.
func (d *Daemon) recall() DrillReport {
	if d.Drill == nil {
		return DrillReport{}
	}
	last, err := d.Drill.Last()
	if err != nil {
		d.Log.WithError(err).Warn("the last drill is not known any more; doing one")
		return DrillReport{}
	}
	if !last.Passed.IsZero() && last.Error != "" {
		d.Recorder.Recalled(metrics.Verify, last.Passed)
		d.Recorder.Recalled(metrics.Drill, last.Passed)
	}
	if !last.At.IsZero() {
		d.recordDrill(last)
	}
	return last
}

// recordDrill tells of a drill and of the verification it begins with: damage is a word against the snapshot itself, other failures are not.
func (d *Daemon) recordDrill(r DrillReport) {
	if r.Error != "" {
		if r.Reason == metrics.Damaged {
			d.Recorder.Failed(metrics.Verify, r.At, r.Name, r.Reason, r.Error)
		}
		d.Recorder.Failed(metrics.Drill, r.At, r.Name, r.Reason, r.Error)
		return
	}
	d.Recorder.Verified(r.At, r.Name, r.Verify)
	d.Recorder.Drilled(r.At, r.Name, r.Took)
}

// drillLoop does a drill whenever one is due, beside the cycles: at once after the first snapshot of all.
func (d *Daemon) drillLoop(ctx context.Context, last DrillReport) {
	due := d.clock()
	failures, empty := 0, 0
	switch {
	case last.Error != "":
		failures = 1
		due = d.nextDrill(last.At, failures)
	case !last.At.IsZero():
		due = d.Drill.Schedule.Next(last.At)
	}
	for d.waitDrill(ctx, due) {
		began := d.clock()
		d.Recorder.Attempt(metrics.Drill, began)
		r, err := d.Drill.Do(ctx)
		if ctx.Err() != nil {
			return
		}
		r.At = d.clock()
		r.Took = r.At.Sub(began)
		if errors.Is(err, snapshot.ErrNotFound) {
			d.Recorder.Skipped(metrics.Drill, r.At, metrics.NoSnapshot)
			empty++
			d.waitSnapshot(ctx, backoff(empty))
			due = d.clock()
			continue
		}
		empty = 0
		if failures++; err == nil {
			failures = 0
		}
		due = d.nextDrill(r.At, failures)
		d.drilled(r, err, due)
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

// drilled tells of a drill, in the metrics, the log and to the next process.
func (d *Daemon) drilled(r DrillReport, err error, next time.Time) {
	log := d.Log.WithFields(logrus.Fields{"run": runID(), "duration": r.Took.Round(time.Millisecond), "next_drill": stamp(next)})
	if r.Name != "" {
		log = log.WithField("snapshot", r.Name)
	}
	if errors.Is(err, ErrSkipped) {
		d.Recorder.Skipped(metrics.Drill, r.At, d.reason(metrics.Drill, err))
		log.WithError(err).Warn("restore drill left out")
		return
	}
	if err != nil {
		r.Error, r.Reason = err.Error(), d.reason(metrics.Drill, err)
		r.Passed = d.lastDrill.Passed
		log.WithError(err).Error("restore drill failed: this snapshot might not come back")
	} else {
		r.Passed = r.At
		log.WithFields(logrus.Fields{"revision": r.Revision, "keys": r.Keys}).Info("restore drill passed")
	}
	d.lastDrill = r
	d.recordDrill(r)
	if err := d.Drill.Keep(r); err != nil {
		log.WithError(err).Warn("keeping the drill's result failed; after a restart it will be done again")
	}
}

// waitDrill returns true once due is reached, false when ctx has ended. The clock may be set and the machine may sleep.
func (d *Daemon) waitDrill(ctx context.Context, due time.Time) bool {
	for ctx.Err() == nil {
		left := due.Sub(d.clock())
		if left <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(left, lookInterval)):
		}
	}
	return false
}

// waitSnapshot returns once a snapshot was taken, or after so long: one that is wanted from the bucket comes there later.
func (d *Daemon) waitSnapshot(ctx context.Context, limit time.Duration) {
	select {
	case <-ctx.Done():
	case <-d.taken:
	case <-time.After(limit):
	}
}
