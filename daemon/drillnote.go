package daemon

import (
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// readDrill gives the last drill before the start. One that a wrong clock has dated in the future would keep others away for as long.
func (d *Daemon) readDrill(now time.Time) DrillReport {
	r, err := d.Drill.Note.Read()
	switch {
	case err != nil:
		d.Log.WithError(err).Warn("the last drill is not known any more; doing one")
		return DrillReport{}
	case r.At.After(now) || r.Due.After(now) || r.Passed.After(now):
		d.Log.Warn("the last drill is dated in the future: the clock is or was wrong; doing one")
		return DrillReport{}
	case !r.At.IsZero() && r.Place != d.Drill.place(): // what it found out is of other copies
		d.Log.Info("the last drill was of snapshots in another place; doing one")
		return DrillReport{}
	}
	return r
}

// recallDrills tells of the last drill before the start and of the next. The newest snapshot was taken at last.
func (d *Daemon) recallDrills(last time.Time) {
	if d.Drill == nil {
		return
	}
	now := d.clock()
	r := d.readDrill(now)
	d.drills = drills{last: r, next: now, fresh: last.IsZero()}
	switch {
	case !r.Began.IsZero() && !r.Began.After(now):
		// It may have been what ended the daemon.
		d.drills.failures = max(r.Failures, 0) + 1
		d.drills.next = d.nextDrill(r.Began, d.drills.failures)
	case r.Error != "":
		d.drills.failures = max(r.Failures, 1)
		if !d.gone() {
			d.drills.next = d.nextDrill(r.At, d.drills.failures)
		}
	case r.Due.IsZero() && !r.At.IsZero():
		d.drills.next = d.Drill.Schedule.Next(r.At)
	}
	d.drills.last.Began = time.Time{}
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

// drillBegan notes that a drill is under way, and since when one is due.
func (d *Daemon) drillBegan(at time.Time) {
	r := d.drills.last
	r.Began = at
	if r.Due.IsZero() {
		r.Due = d.drills.next
	}
	d.keepDrill(r)
}

// drillStopped forgets that: the stop has cut it off, which is nobody's fault, or it had nothing to work on.
func (d *Daemon) drillStopped() {
	r := d.drills.last
	r.Began = time.Time{}
	d.keepDrill(r)
}

// keepDrill leaves word for the next process.
func (d *Daemon) keepDrill(r DrillReport) {
	d.drills.last = r
	if err := d.Drill.Note.Keep(r); err != nil {
		d.Log.WithError(err).Warn("keeping what became of the restore drill failed; after a restart it will be done again")
	}
}

// lies tells whether the copy whose drill began at that time is there still, as far as that is known: of a bucket it is not.
func (d *Daemon) lies(name string, began time.Time) bool {
	if !d.Drill.Here {
		return true
	}
	l, err := d.Store.List()
	if err != nil {
		return true // the next run has more to say of that
	}
	return slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name.String() == name && !e.Modified.After(began) })
}

// gone tells, once, that the snapshot of a failed drill is no longer there, or is another copy: then nothing is known of those that are.
func (d *Daemon) gone() bool {
	last := &d.drills.last
	if last.Error == "" || last.Name == "" || d.lies(last.Name, last.began()) {
		return false
	}
	last.Name = ""
	return true
}
