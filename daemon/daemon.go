// Package daemon decides when a snapshot is taken and in which order the work around it is done: the schedule, one
// cycle, catching up after a stop, trying again after a failure, the end.
//
// Invariants: one cycle at a time; nothing is pruned in a cycle without a new snapshot.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	// firstPause is the wait after a first failure; it doubles with each more up to maxPause.
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
	// lookInterval bounds how late a change of the wall clock is noticed.
	lookInterval = 15 * time.Second
)

// Taker takes one snapshot and brings it into the store. alive is to be called as the work goes on. A run that this
// member leaves to others is an error that wraps ErrSkipped.
type Taker interface {
	Take(ctx context.Context, alive func()) (snapshot.Taken, error)
}

// Options are the daemon's parts and settings; all but Mirror and Notifier are required.
type Options struct {
	Node     string
	Schedule Schedule
	Policy   retention.Policy
	Taker    Taker
	Store    Store
	// Mirror does one pass of the mirror, nil: there is none. It ends soon after its context.
	Mirror   func(context.Context) (Mirrored, error)
	Notifier *Notifier
	Log      logrus.FieldLogger
}

// Daemon runs cycles on a schedule.
type Daemon struct {
	Options
	clock   func() time.Time
	run     time.Time // when the run that was last due began; trying it again does not move it
	attempt int       // failures in a row of that run
	kick    chan struct{}
}

// New makes a daemon; nothing runs yet.
func New(o Options) *Daemon {
	if o.Notifier == nil {
		o.Notifier = &Notifier{}
	}
	return &Daemon{Options: o, clock: wallClock, kick: make(chan struct{}, 1)}
}

// Run works until ctx ends, which is its good end and gives nil. It fails only when the store can't be read at the start.
func (d *Daemon) Run(ctx context.Context) error {
	due, err := d.start(ctx)
	switch {
	case ctx.Err() != nil: // stopped before it had begun
	case err != nil:
		return err
	default:
		d.notify(d.Notifier.Ready())
		d.notify(d.Notifier.Status("next run " + stamp(due)))
	}
	mirroring := sync.WaitGroup{}
	if d.Mirror != nil && ctx.Err() == nil {
		mirroring.Go(func() { d.mirrorLoop(ctx) })
	}
	for d.wait(ctx, due) {
		due = d.cycle(ctx)
	}
	mirroring.Wait()
	d.notify(d.Notifier.Stopping())
	d.Log.Info("stopped")
	return nil
}

// start cleans up after a crash and tells when the first run is due: at once when there is no snapshot, or when the
// schedule had a run since the last one.
func (d *Daemon) start(ctx context.Context) (time.Time, error) {
	removed, err := d.Store.RemovePartials(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if len(removed) > 0 {
		d.Log.WithField("files", removed).Warn("removed partial snapshots of a run that was cut off")
	}
	l, err := d.Store.List()
	if err != nil {
		return time.Time{}, err
	}
	now := d.clock()
	due, last := now, time.Time{}
	if e, ok := Newest(l, d.Node, now); ok {
		last = e.Name.Time
		due = d.Schedule.Next(last)
	}
	log := d.Log.WithFields(logrus.Fields{"schedule": d.Schedule.String(), "policy": d.Policy.String(), "node": d.Node})
	switch {
	case last.IsZero():
		log.Info("started; no snapshot yet, taking one now")
	case !due.After(now):
		log.WithField("last", stamp(last)).Info("started; a run was missed, taking a snapshot now")
	default:
		log.WithFields(logrus.Fields{"last": stamp(last), "next": stamp(due)}).Info("started")
	}
	return due, nil
}

// wait returns true once due is reached, false when ctx has ended. It looks at the wall clock again and again, for
// the clock may be set and the machine may sleep.
func (d *Daemon) wait(ctx context.Context, due time.Time) bool {
	step := lookInterval
	if w := d.Notifier.Watchdog(); w > 0 {
		step = min(step, w/4)
	}
	for ctx.Err() == nil {
		d.alive()
		now := d.clock()
		left := due.Sub(now)
		if left <= 0 {
			return true
		}
		// Later than the next run from now on it can be only because the clock was set back.
		if next := d.Schedule.Next(now); next.Before(due) {
			due = next
			d.Log.WithField("next", stamp(due)).Warn("brought the next run forward; the clock was set back")
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(left, step)):
		}
	}
	return false
}

// cycle takes one snapshot, prunes after it, and tells when the next run is due.
func (d *Daemon) cycle(ctx context.Context) time.Time {
	began := d.clock()
	if d.attempt == 0 {
		d.run = began
	}
	taken, err := d.Taker.Take(ctx, d.alive)
	now := d.clock()
	log := d.Log.WithField("duration", now.Sub(began).Round(time.Millisecond))
	if err != nil && ctx.Err() != nil {
		log.Info("run cut off by the stop; nothing of it is kept")
		return now
	}
	next := d.Schedule.Next(d.run)
	if !next.After(now) {
		log.WithField("missed", stamp(next)).Warn("run took longer than the schedule's interval; passed over the runs it missed")
		d.run, next = now, d.Schedule.Next(now)
	}
	if err != nil && !errors.Is(err, ErrSkipped) {
		return d.failed(log, err, now, next)
	}
	d.attempt = 0
	if err != nil {
		log.WithField("next", stamp(next)).Info(err.Error())
		d.notify(d.Notifier.Status(fmt.Sprintf("last run %v, next run %s", err, stamp(next))))
		return next
	}
	d.finish(ctx, log, taken, next)
	return next
}

// failed logs the error and chooses between another try and the next run, whichever comes first.
func (d *Daemon) failed(log logrus.FieldLogger, err error, now, next time.Time) time.Time {
	d.attempt++
	again := now.Add(backoff(d.attempt))
	if !again.Before(next) {
		again = next
		d.attempt = 0
	}
	log.WithError(err).WithField("next", stamp(again)).Error("snapshot failed")
	d.notify(d.Notifier.Status(fmt.Sprintf("last run failed, next try %s: %v", stamp(again), err)))
	return again
}

// finish prunes and writes the cycle's closing line.
func (d *Daemon) finish(ctx context.Context, log logrus.FieldLogger, t snapshot.Taken, next time.Time) {
	decisions, err := Prune(ctx, d.Store, d.Node, d.Policy, d.clock())
	if err != nil && ctx.Err() == nil {
		log.WithError(err).Error("pruning failed; the new snapshot is safe")
	}
	kept, removed := 0, 0
	for _, x := range decisions {
		if x.Keep {
			kept++
		} else {
			removed++
		}
	}
	m := t.Manifest
	log = log.WithFields(logrus.Fields{
		"snapshot": t.Name.String(), "revision": m.Revision, "raw_bytes": m.RawSize, "archive_bytes": t.Size,
		"stream": t.Stream.Round(time.Millisecond), "sync": t.Sync.Round(time.Millisecond),
		"kept": kept, "pruned": removed, "next": stamp(next),
	})
	if !m.Healthy {
		log.Warn("member knows no leader: the cluster may have lost its quorum")
	}
	if len(m.Alarms) > 0 {
		log.WithField("alarms", m.Alarms).Warn("etcd raises alarms")
	}
	log.Info("kept snapshot")
	select {
	case d.kick <- struct{}{}:
	default: // a pass is due already
	}
	d.notify(d.Notifier.Status(fmt.Sprintf("last snapshot %s, next run %s", t.Name, stamp(next))))
}

func (d *Daemon) alive() { d.notify(d.Notifier.Alive()) }

// notify logs what went wrong in talking to systemd; a backup goes on without.
func (d *Daemon) notify(err error) {
	if err != nil {
		d.Log.WithError(err).Warn("telling systemd failed")
	}
}

// wallClock is the time of day without Go's monotonic reading, which stands still while a machine sleeps.
func wallClock() time.Time { return time.Now().Round(0) }

// stamp is how a time stands in log lines.
func stamp(t time.Time) string { return t.Format(time.RFC3339) }
