package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// Drill says how the newest snapshot is proven by restoring it for a test, and when.
type Drill struct {
	Schedule Schedule
	// Do does one. Nothing to work on wraps snapshot.ErrNotFound; one that was left out or given up, for disk or memory are short
	// or the bucket is away, ErrSkipped. The report counts beside an error too.
	Do func(ctx context.Context) (DrillReport, error)
	// Here tells that it restores the snapshots of the Store, and not those of a bucket.
	Here bool
	// Note keeps the last one.
	Note Note[DrillReport]
}

// DrillReport is a drill that passed or failed, and what the next process is to know beside it.
type DrillReport struct {
	Name     string         `json:"name"`  // of the snapshot; "" when none was reached
	Place    metrics.Place  `json:"place"` // of the copy
	At       time.Time      `json:"at"`    // when it ended
	Took     time.Duration  `json:"took"`
	Verify   time.Duration  `json:"verify,omitempty"` // the part of Took in which the snapshot was proven whole
	Revision int64          `json:"revision,omitempty"`
	Keys     int64          `json:"keys,omitempty"`
	Reason   metrics.Reason `json:"reason,omitempty"`   // of a failure
	Error    string         `json:"error,omitempty"`    // "": it passed
	Failures int            `json:"failures,omitempty"` // in a row, with this one
	Passed   time.Time      `json:"passed,omitzero"`    // when the last one that passed ended, which may be this one
	Due      time.Time      `json:"due,omitzero"`       // when the one was due that has not passed since, if so
	Began    time.Time      `json:"began,omitzero"`     // of the one under way
}

// drills is what the loop of drills goes by.
type drills struct {
	last     DrillReport
	next     time.Time // when the next one begins
	failures int       // in a row, with those that were left out
	fresh    bool      // there is no snapshot yet
}

// whole tells that the drill has proven every byte of the snapshot, whatever etcd made of it then.
func (r DrillReport) whole() bool {
	return r.Error == "" || r.Name != "" && (r.Reason == metrics.Start || r.Reason == metrics.Contents)
}

// began is when it did: a file that was replaced since is another one.
func (r DrillReport) began() time.Time { return r.At.Add(-r.Took) }

// place is where the drills' snapshots come from.
func (x *Drill) place() metrics.Place {
	if x.Here {
		return metrics.Local
	}
	return metrics.S3
}

// recordDrill tells of a drill and of the verification it begins with, where that came to a verdict.
func (d *Daemon) recordDrill(r DrillReport) {
	switch {
	case r.whole():
		d.Recorder.Verified(r.At, r.Name, r.Verify)
	case r.Reason == metrics.Damaged:
		d.Recorder.Failed(metrics.Verify, r.began(), r.Name, r.Reason, r.Error)
	}
	if r.Error != "" {
		d.Recorder.Failed(metrics.Drill, r.At, r.Name, r.Reason, r.Error)
		return
	}
	d.Recorder.Drilled(r.At, r.Name, r.Took)
}

// scheduleDrill tells when the next drill is due, and how long after the schedule's own the one behind it comes.
func (d *Daemon) scheduleDrill(due time.Time) {
	regular := d.Drill.Schedule.Next(due)
	d.Recorder.Schedule(metrics.Drill, due, max(d.Drill.Schedule.Next(regular).Sub(regular), 0))
}

// replaceBad asks for a snapshot at once when the newest is worth nothing, and the next one may be better.
func (d *Daemon) replaceBad(r DrillReport) {
	if r.Reason != metrics.Damaged && r.Reason != metrics.Contents || d.hasNewer(r.Name) {
		return
	}
	d.ask()
}

// ask wants a snapshot at once, which wait grants now and then.
func (d *Daemon) ask() {
	select {
	case d.urgent <- struct{}{}:
	default: // asked for already
	}
}

// hasNewer tells whether a newer one lies in the Store: a drill may take hours, and the bucket's newest may be an old one.
func (d *Daemon) hasNewer(drilled string) bool {
	name, err := snapshot.ParseName(drilled)
	if err != nil {
		return false
	}
	l, err := d.Store.List()
	if err != nil {
		return false // the run that is asked for has more to say of that
	}
	e, ok := Newest(l, d.Node, d.clock())
	return ok && e.Name.Time.After(name.Time)
}

// drilled tells of a drill, in the metrics, the log and to the next process.
func (d *Daemon) drilled(r DrillReport, err error) {
	last := d.drills.last
	r.Place = d.Drill.place()
	d.drills.next = d.nextDrill(r.At, d.drills.failures)
	log := d.Log.WithFields(logrus.Fields{"run": runID(), "duration_seconds": seconds(r.Took), "next_drill": stamp(d.drills.next)})
	if r.Name != "" {
		log = log.WithField("snapshot", r.Name)
	}
	var reason metrics.Reason
	if err != nil {
		reason = d.reason(metrics.Drill, err)
		log = log.WithError(err).WithField("reason", string(reason))
	}
	switch {
	case errors.Is(err, ErrSkipped):
		d.Recorder.Skipped(metrics.Drill, r.At, reason)
		log.Warn("restore drill left out")
		r = last
		r.Began = time.Time{}
	case err != nil:
		r.Error, r.Reason, r.Failures = err.Error(), reason, last.Failures+1
		r.Passed, r.Due = last.Passed, last.Due
		log.Error("restore drill failed: this snapshot might not come back")
		d.recordDrill(r)
		d.foundDamage() // if that is what it was
		d.replaceBad(r)
	default:
		r.Passed = r.At
		log.WithFields(logrus.Fields{"revision": r.Revision, "keys": r.Keys}).Info("restore drill passed")
		d.recordDrill(r)
	}
	d.scheduleDrill(d.drills.next)
	d.keepDrill(r)
}
