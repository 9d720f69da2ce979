package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// After a drill that failed or was skipped, the next one comes before its scheduled time: after an hour, then after twice as long
// each time.
const (
	firstDrillPause = time.Hour
	maxDrillPause   = 24 * time.Hour
)

// Drill says how and when the newest snapshot is restored as a test.
type Drill struct {
	DrillSettings
	// Do runs one drill of a snapshot from a place. Errors wrap snapshot.ErrNotFound if there is no snapshot, and ErrSkipped if the drill was skipped because
	// disk space, memory or the bucket is not available. The report is valid with an error too.
	Do func(ctx context.Context, from status.Place) (DrillReport, error)
}

// DrillSettings are those that a running daemon takes over, between two drills.
type DrillSettings struct {
	Schedule Schedule     // zero: never
	From     status.Place // whose snapshots are drilled
}

// DrillReport is the result of a drill.
type DrillReport struct {
	Name     snapshot.Name // zero: no snapshot was opened
	Verify   time.Duration // of the verification
	Revision int64
	Keys     int64
	// Resources are the keys of each type of Kubernetes; nil: not known.
	Resources map[string]int64
	Cluster   snapshot.ID // that the snapshot was taken from; 0: not known
	Warnings  []string    // what failed after it, which does not change its result
	Journal   DrilledJournal
}

// drills is the state of the drill loop.
type drills struct {
	next     time.Time     // when the next drill begins
	failures int           // in a row, including skipped ones
	first    bool          // there is no snapshot yet
	failed   snapshot.Name // the snapshot that failed the last drill, until it is gone; zero: none
}

// drilling reports whether drills are done at all.
func (d *Daemon) drilling() bool { return d.Drill != nil && !d.Drill.Schedule.IsZero() }

// resumeDrills schedules the next drill after a start. An interrupted drill is repeated later, because it may have crashed the daemon.
func (d *Daemon) resumeDrills(haveSnapshot, cutOff bool) {
	if !d.drilling() {
		return
	}
	now, j := d.clock(), d.Status.Job(status.Drill)
	d.drills = drills{next: now, first: !haveSnapshot, failures: j.Failures}
	if j.Failures > 0 {
		d.drills.failed = j.Name
	}
	switch {
	case cutOff:
		d.drills.failures++
		d.drills.next = d.nextDrill(j.Attempt, d.drills.failures)
	case j.Failures > 0 && !d.failedIsGone(j.Attempt):
		d.drills.next = d.nextDrill(j.Failed, j.Failures)
	case j.Failures == 0 && j.Due.IsZero() && !j.Success.IsZero():
		d.drills.next = d.Drill.Schedule.Next(j.Success)
	}
	if !j.Due.IsZero() {
		d.scheduleDrill(j.Due)
	}
	d.scheduleDrill(d.drills.next)
}

// drillLoop runs a drill whenever one is due; the first one immediately after the very first snapshot.
func (d *Daemon) drillLoop(ctx context.Context) {
	if d.drills.first {
		await(ctx, maxPause, d.taken)
	}
	empty := 0
	for d.waitDrill(ctx) {
		began := d.clock()
		d.Status.Begin(status.Drill, began)
		d.save()
		r, err := d.Drill.Do(ctx, d.Drill.From)
		if ctx.Err() != nil {
			d.Status.Abort(status.Drill)
			return
		}
		now := d.clock()
		if errors.Is(err, snapshot.ErrNotFound) {
			d.Status.End(status.Drill, now, status.Outcome{Skipped: true, Reason: status.NoSnapshot})
			d.save()
			// A snapshot arrives in the bucket later than on the disk.
			if empty++; await(ctx, min(firstPause<<min(empty-1, 16), firstDrillPause), d.taken) {
				empty = 0
			}
			d.drills.next = d.clock()
			d.scheduleDrill(d.Drill.Schedule.Next(d.drills.next)) // without a snapshot no drill is due
			continue
		}
		empty = 0
		if d.drills.failures++; err == nil {
			d.drills.failures = 0
		}
		d.drillEnded(r, began, now, err)
	}
}

// drillEnded records and logs the result of a drill.
func (d *Daemon) drillEnded(r DrillReport, began, now time.Time, err error) {
	d.drills.next = d.nextDrill(now, d.drills.failures)
	log := d.Log.WithFields(logrus.Fields{"run": runID(), "duration_seconds": seconds(now.Sub(began)), "next_drill": stamp(d.drills.next)})
	if r.Name.Set != "" {
		log = log.WithField("snapshot", r.Name.String())
	}
	o := status.Outcome{Name: r.Name, Took: now.Sub(began)}
	if err != nil {
		o.Reason, o.Message = d.Reason(status.Drill, err), err.Error()
		log = log.WithError(err).WithField("reason", string(o.Reason))
	}
	switch {
	case errors.Is(err, ErrSkipped):
		o.Skipped = true
		log.Warn("restore drill skipped")
	case err != nil:
		log.Error("restore drill failed: this snapshot may not be restorable")
	default:
		o.Keys, o.Resources, o.Cluster = snapshot.Counted(r.Keys), r.Resources, r.Cluster
		log.WithFields(logrus.Fields{"revision": r.Revision, "keys": r.Keys}).Info("restore drill passed")
	}
	d.journalDrilled(r.Journal, now, log)
	for _, w := range r.Warnings {
		log.WithField("warning", w).Warn("cleaning up after the restore drill failed; the next one tries again")
	}
	if !o.Skipped {
		d.noteVerification(r, began, now, o)
		d.drills.failed = snapshot.Name{}
		if err != nil {
			d.drills.failed = r.Name
		}
	}
	d.Status.End(status.Drill, now, o)
	d.scheduleDrill(d.drills.next)
	d.save()
	notifyOne(d.damageFound) // if there was any
	if (o.Reason == status.Contents || o.Reason == status.Damaged) && !d.hasNewer(r.Name) {
		notifyOne(d.replace)
	}
}

// noteVerification records the result of the verification with which a drill begins, if it was completed. If the drill failed later,
// the snapshot's bytes are intact all the same.
func (d *Daemon) noteVerification(r DrillReport, began, now time.Time, o status.Outcome) {
	switch {
	case o.Reason == status.Damaged:
		d.Status.End(status.Verify, now, status.Outcome{Name: r.Name, Reason: status.Damaged, Message: o.Message, Began: began})
	case o.Reason == "" || r.Name.Set != "" && (o.Reason == status.Start || o.Reason == status.Contents):
		d.Status.End(status.Verify, now, status.Outcome{Name: r.Name, Took: r.Verify})
	}
}

// scheduleDrill records when the next drill is due, and the interval of the schedule after it.
func (d *Daemon) scheduleDrill(due time.Time) {
	regular := d.Drill.Schedule.Next(due)
	d.Status.Schedule(status.Drill, due, max(d.Drill.Schedule.Next(regular).Sub(regular), 0))
}

// nextDrill returns the next scheduled time, or an earlier one after failures.
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

// waitDrill returns true once the next drill is due, or once the snapshot that failed the last one is gone; false once ctx has
// ended. New settings are taken over here, between two drills. It polls the wall clock, because the clock may be set and the machine may
// be suspended.
func (d *Daemon) waitDrill(ctx context.Context) bool {
	for ctx.Err() == nil {
		d.takeOverDrill()
		if !d.drilling() {
			await(ctx, lookInterval, d.newDrill)
			continue
		}
		now := d.clock()
		// It is later than the next scheduled drill only if the clock was set back.
		if next := d.Drill.Schedule.Next(now); next.Before(d.drills.next) {
			d.drills.next = next
			d.scheduleDrill(next)
		}
		left := d.drills.next.Sub(now)
		if left <= 0 || d.failedIsGone(d.Status.Job(status.Drill).Attempt) {
			return true
		}
		await(ctx, min(left, lookInterval), d.newDrill)
	}
	return false
}

// failedIsGone reports once that the snapshot whose drill began at that time and failed was removed from the disk or replaced: then a
// new drill is needed. It is always false for drills from S3.
func (d *Daemon) failedIsGone(began time.Time) bool {
	name := d.drills.failed
	if d.Drill.From != status.Local || name.Set == "" {
		return false
	}
	l, err := d.Store.List() // the next run reports the error
	if err != nil || slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == name && !e.Modified.After(began) }) {
		return false
	}
	d.drills.failed = snapshot.Name{}
	return true
}
