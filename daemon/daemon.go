// Package daemon decides when a snapshot is taken and in which order the work around it is done: the schedule, one
// cycle, catching up after a stop, trying again after a failure, the end.
//
// Invariants: one cycle at a time; nothing is pruned in a cycle without a new snapshot.
package daemon

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	// firstPause is the wait after a first failure; it doubles with each more up to maxPause.
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
	// lookInterval bounds how late a change of the wall clock, or of the directory by hand, is noticed.
	lookInterval = 15 * time.Second
	// urgentPause is the least time between two snapshots in place of bad ones. The bad one may be pruned for the new one, and that
	// be no better.
	urgentPause = time.Hour
)

// Taker takes one snapshot and brings it into the store. log is the run's own, alive is to be called as the work goes on.
// A run that this member leaves to others is an error that wraps ErrSkipped.
type Taker interface {
	Take(ctx context.Context, log logrus.FieldLogger, alive func()) (snapshot.Taken, error)
}

// Options are the daemon's parts and settings; those from Mirror on, but for Log, may be left out.
type Options struct {
	Version  string
	Node     string
	Schedule Schedule
	Policy   retention.Policy
	Taker    Taker
	Store    Store
	// Mirror does one pass of the mirror, nil: there is none. It ends soon after its context.
	Mirror func(context.Context) (Mirrored, error)
	// Drill restores the newest snapshot for a test now and then, nil: nobody does.
	Drill *Drill
	// Runs keeps what became of the runs for after a restart, and Damages which copies were found damaged.
	Runs     Note[RunReport]
	Damages  Note[[]metrics.Damage]
	Notifier *Notifier
	Log      logrus.FieldLogger
	// Recorder hears what becomes of the work.
	Recorder Recorder
	// Reason gives the class of an error.
	Reason func(metrics.Kind, error) metrics.Reason
	// Serve answers questions about what Recorder has heard until its context ends. It begins once the directory has been read
	// and the first pass of the mirror has ended or has taken some seconds, so that the first answer knows the past.
	Serve func(context.Context)
	// Health tells why not all is well, from what Recorder has heard.
	Health func() []string
	// Heartbeat tells a watcher elsewhere how all is after a cycle; *Heartbeat's Send is one.
	Heartbeat func(ctx context.Context, well bool) error
}

// Daemon runs cycles on a schedule.
type Daemon struct {
	Options
	clock   func() time.Time
	run     time.Time // when the run that was last due began; trying it again does not move it
	attempt int       // failures in a row of that run
	runs    RunReport
	trouble string // etcd's own, as the log has told it last
	kept    bool   // the disk has taken runs, or was not asked yet
	kick    chan struct{}
	granted time.Time        // when a snapshot was taken in place of a bad one last
	urgent  chan struct{}    // the newest snapshot is not whole, or did not come back in its drill
	found   chan struct{}    // damage was found
	damages []metrics.Damage // as they were kept last
	unkept  bool             // the last word of them could not be read or written
	taken   chan struct{}    // a snapshot was taken, for who waits for the first
	passed  chan struct{}    // closed when the first pass of the mirror has ended
	beats   chan bool        // how the last cycle ended, until that is sent
	drills  drills
	known   map[snapshot.Name]metrics.Snapshot // what lies in the directory
}

// New makes a daemon; nothing runs yet.
func New(o Options) *Daemon {
	if o.Notifier == nil {
		o.Notifier = &Notifier{}
	}
	if o.Recorder == nil {
		o.Recorder = deaf{}
	}
	return &Daemon{
		Options: o, clock: wallClock, kept: true,
		kick: make(chan struct{}, 1), urgent: make(chan struct{}, 1), taken: make(chan struct{}, 1),
		found: make(chan struct{}, 1), passed: make(chan struct{}), beats: make(chan bool, 1),
	}
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
	var beside sync.WaitGroup
	if ctx.Err() == nil {
		d.startBeside(ctx, &beside)
	}
	for d.wait(ctx, due) {
		due = d.cycle(ctx)
	}
	beside.Wait()
	d.keepDamages()
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
	due, regular, last := now, d.Schedule.Next(now), time.Time{}
	if e, ok := Newest(l, d.Node, now); ok {
		last = e.Name.Time
	}
	runs, cutOff := d.readRuns(last, now)
	if !last.IsZero() {
		due = d.Schedule.Next(later(last, runs.Skipped))
		regular = due
	}
	d.rebuild(l, runs, last, due, regular)
	if cutOff {
		d.countCutOff()
	}
	log := d.Log.WithFields(logrus.Fields{"schedule": d.Schedule.String(), "policy": d.Policy.String(), "node": d.Node, "version": d.Version})
	if d.Drill != nil && !last.IsZero() {
		log = log.WithField("next_drill", stamp(d.drills.next))
	}
	switch {
	case last.IsZero():
		log.Info("started; no snapshot on the disk, taking one now")
	case !due.After(now):
		log.WithField("last", stamp(last)).Info("started; a run was missed, taking a snapshot now")
	default:
		log.WithFields(logrus.Fields{"last": stamp(last), "next": stamp(due)}).Info("started")
	}
	return due, nil
}

// wait returns true once due is reached or the newest snapshot is worth nothing, false when ctx has ended. It looks at the wall
// clock again and again, for the clock may be set and the machine may sleep.
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
			d.schedule(due, due)
			d.Log.WithField("next", stamp(due)).Warn("brought the next run forward; the clock was set back")
			continue
		}
		select {
		case <-ctx.Done():
		case <-d.urgent:
			if now := d.clock(); now.Sub(d.granted).Abs() >= urgentPause {
				d.granted = now
				d.Log.Warn("taking a snapshot now, for the newest one can't be relied on")
				return true
			}
		case <-time.After(min(left, step)):
			d.look()
			d.keepPast()
		}
	}
	return false
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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stamp is how a time stands in log lines, in the zone of their own times.
func stamp(t time.Time) string { return t.Local().Format(time.RFC3339) }

// seconds is how a duration stands in log lines, to the millisecond, so that programs can read it.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
