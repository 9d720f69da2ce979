package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/retention"
)

// Settings are those that a running daemon takes over, between two cycles.
type Settings struct {
	Schedule    Schedule
	Policy      retention.Policy
	OrphanAfter time.Duration
	JournalKeep time.Duration
	Drill       DrillSettings
}

// reloadLoop reads the settings again on each request. Bad ones change nothing.
func (d *Daemon) reloadLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.Hangups:
		}
		d.notify(d.Notifier.Reloading())
		s, err := d.Reload(ctx)
		if err == nil {
			d.pending.Store(&s)
			notifyOne(d.reloaded)
			if d.Drill != nil {
				d.drillNext.Store(&s.Drill)
				notifyOne(d.newDrill)
				notifyOne(d.taken) // whoever waits for a snapshot to drill looks again, with the new settings
			}
		} else if ctx.Err() == nil {
			d.notify(d.Notifier.Status(fmt.Sprintf("reload failed, the old settings stay: %v", err)))
		}
		d.notify(d.Notifier.Ready())
	}
}

// takeOver takes over new settings, if there are any, and returns when the next run is due. A run that the new schedule had since the last
// one is done immediately, as after a restart; a retry stays.
func (d *Daemon) takeOver(due time.Time) time.Time {
	s := d.pending.Swap(nil)
	if s == nil {
		return due
	}
	before := d.Schedule
	d.Schedule, d.Policy, d.OrphanAfter, d.JournalKeep = s.Schedule, s.Policy, s.OrphanAfter, s.JournalKeep
	if s.Schedule.Equal(before) {
		return due
	}
	now := d.clock()
	regular := d.Schedule.Next(d.run)
	if regular.Before(now) {
		regular = now
	}
	if d.attempt == 0 || regular.Before(due) {
		due = regular
	}
	d.schedule(due, regular)
	d.Log.WithFields(logrus.Fields{"schedule": d.Schedule.String(), "next": stamp(due)}).Info("new schedule in effect")
	d.notify(d.Notifier.Status("new schedule, next run " + stamp(due)))
	return due
}

// takeOverDrill takes over new settings of the drills, if there are any, as a restart does: a drill that the new schedule had since the last
// one is done immediately.
func (d *Daemon) takeOverDrill() {
	s := d.drillNext.Swap(nil)
	if s == nil || s.Schedule.Equal(d.Drill.Schedule) && s.From == d.Drill.From {
		return
	}
	d.Drill.DrillSettings = *s
	d.Status.SetDrills(d.drilling(), s.From)
	d.save()
	if !d.drilling() {
		d.drills = drills{}
		d.Log.Info("restore drills are switched off")
		return
	}
	d.resumeDrills(true, false)
	d.Log.WithFields(logrus.Fields{"drill_schedule": s.Schedule.String(), "drill_from": string(s.From), "next_drill": stamp(d.drills.next)}).
		Info("new drill settings in effect")
}
