package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// Drill says how the newest snapshot is proven by restoring it for a test, and when.
type Drill struct {
	Schedule Schedule
	// Do does one. Nothing to work on wraps snapshot.ErrNotFound; one that was left out, for disk or memory are short,
	// ErrSkipped. The report counts beside an error too.
	Do func(ctx context.Context) (DrillReport, error)
	// Here tells that it restores the snapshots of the Store, and not those of a bucket.
	Here bool
	// Note keeps the last one.
	Note Note[DrillReport]
}

// DrillReport is a drill that passed or failed.
type DrillReport struct {
	Name     string         `json:"name"` // of the snapshot; "" when none was reached
	At       time.Time      `json:"at"`   // when it ended
	Took     time.Duration  `json:"took"`
	Verify   time.Duration  `json:"verify,omitempty"` // the part of Took in which the snapshot was proven whole
	Revision int64          `json:"revision,omitempty"`
	Keys     int64          `json:"keys,omitempty"`
	Reason   metrics.Reason `json:"reason,omitempty"`   // of a failure
	Error    string         `json:"error,omitempty"`    // "": it passed
	Failures int            `json:"failures,omitempty"` // in a row, with this one
	Passed   time.Time      `json:"passed,omitzero"`    // when the last one that passed ended, which may be this one
	Due      time.Time      `json:"due,omitzero"`       // when the one was due that has not passed since, if so
}

// drills is what the loop of drills goes by.
type drills struct {
	last     DrillReport
	next     time.Time // when the next one begins
	failures int       // in a row, with those that were left out
	fresh    bool      // there is no snapshot yet
}

// recallDrills tells of the last drill before the start and of the next. The newest snapshot was taken at last.
func (d *Daemon) recallDrills(last time.Time) {
	if d.Drill == nil {
		return
	}
	now := d.clock()
	r, err := d.Drill.Note.Read()
	if err != nil {
		d.Log.WithError(err).Warn("the last drill is not known any more; doing one")
		r = DrillReport{}
	}
	d.drills = drills{last: r, next: now, fresh: last.IsZero()}
	switch {
	case r.Error != "":
		d.drills.failures = max(r.Failures, 1)
		if !d.gone() {
			d.drills.next = d.nextDrill(r.At, d.drills.failures)
		}
	case r.Due.IsZero() && !r.At.IsZero():
		d.drills.next = d.Drill.Schedule.Next(r.At)
	}
	if !r.Passed.IsZero() && r.Error != "" {
		d.Recorder.Recalled(metrics.Verify, r.Passed)
		d.Recorder.Recalled(metrics.Drill, r.Passed)
	}
	if !r.At.IsZero() {
		d.recordDrill(r)
		d.Recorder.Failing(metrics.Drill, max(r.Failures, 1))
	}
	if !r.Due.IsZero() {
		d.scheduleDrill(r.Due)
	}
	d.scheduleDrill(d.drills.next)
}

// scheduleDrill tells when the next drill is due, and how long after the schedule's own the one behind it comes.
func (d *Daemon) scheduleDrill(due time.Time) {
	regular := d.Drill.Schedule.Next(due)
	d.Recorder.Schedule(metrics.Drill, due, max(d.Drill.Schedule.Next(regular).Sub(regular), 0))
}

// gone tells, once, that the snapshot of a failed drill is no longer there: then nothing is known of those that are.
func (d *Daemon) gone() bool {
	last := &d.drills.last
	if !d.Drill.Here || last.Error == "" || last.Name == "" {
		return false
	}
	l, err := d.Store.List()
	if err != nil {
		return false // the next run has more to say of that
	}
	if slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name.String() == last.Name }) {
		return false
	}
	last.Name = ""
	return true
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

// drilled tells of a drill, in the metrics, the log and to the next process.
func (d *Daemon) drilled(r DrillReport, err error) {
	due := d.drills.last.Due
	if due.IsZero() {
		due = d.drills.next
	}
	d.drills.next = d.nextDrill(r.At, d.drills.failures)
	log := d.Log.WithFields(logrus.Fields{"run": runID(), "duration_seconds": seconds(r.Took), "next_drill": stamp(d.drills.next)})
	if r.Name != "" {
		log = log.WithField("snapshot", r.Name)
	}
	switch {
	case errors.Is(err, ErrSkipped):
		d.Recorder.Skipped(metrics.Drill, r.At, d.reason(metrics.Drill, err))
		log.WithError(err).Warn("restore drill left out")
		r = d.drills.last
		r.Due = due
	case err != nil:
		r.Error, r.Reason, r.Failures = err.Error(), d.reason(metrics.Drill, err), d.drills.last.Failures+1
		r.Passed, r.Due = d.drills.last.Passed, due
		log.WithError(err).Error("restore drill failed: this snapshot might not come back")
		d.recordDrill(r)
	default:
		r.Passed = r.At
		log.WithFields(logrus.Fields{"revision": r.Revision, "keys": r.Keys}).Info("restore drill passed")
		d.recordDrill(r)
	}
	d.scheduleDrill(d.drills.next)
	d.drills.last = r
	if err := d.Drill.Note.Keep(r); err != nil {
		log.WithError(err).Warn("keeping the drill's result failed; after a restart it will be done again")
	}
}
