// Package daemon decides when a snapshot is taken and in which order the work around it is done: the schedule, one
// cycle, catching up after downtime, retrying after a failure, and the shutdown.
//
// Invariants: one cycle at a time; a cycle without a new snapshot prunes nothing, except to make room for it (room.go); mirror, journal, drills, server and heartbeat never delay a
// cycle.
package daemon

import (
	"cmp"
	"context"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	// firstPause is the wait after a first failure; it doubles with each more up to maxPause.
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
	// lookInterval bounds how late a change of the wall clock, or a manual change of the directory, is noticed.
	lookInterval = 15 * time.Second
	// replacePause is the minimum time between two snapshots that replace bad ones: the next one may be no better.
	replacePause = time.Hour
)

// Taker takes one snapshot and stores it. log has the run's fields; alive must be called whenever the work makes progress.
// If this member leaves the run to another one, the error wraps ErrSkipped.
type Taker interface {
	Take(ctx context.Context, log logrus.FieldLogger, alive func()) (snapshot.Taken, error)
}

// Options are the daemon's parts and settings; Mirror, Journal, Drill, Notifier, Status, Reason, Problems, Serve, Reload and Heartbeat are optional.
type Options struct {
	Version  string
	Node     string
	Host     string // the node's name for people where Node is ""
	Schedule Schedule
	Policy   retention.Policy
	// OrphanAfter is the age of the newest snapshot of another node on the disk at which the older ones are removed; 0: never.
	OrphanAfter time.Duration
	Taker       Taker
	Store       Store
	// Mirror does one mirror pass; nil: no mirror. It returns soon after its context ends.
	Mirror func(context.Context) (mirror.Result, error)
	// Segments are those of the journal on the disk; nil: they are not looked at. MirrorSegments uploads what the bucket lacks of them; nil: nothing
	// does. JournalKeep is how far back any moment must stay restorable.
	Segments       SegmentStore
	MirrorSegments func(context.Context) (mirror.Uploaded, error)
	JournalKeep    time.Duration
	// Journal records what changes between two snapshots; nil: nothing does.
	Journal Journal
	// Drill restores the newest snapshot as a test on a schedule; nil: no drills.
	Drill    *Drill
	Notifier *Notifier
	Log      logrus.FieldLogger
	// Status records the results of all work, also those from before the start.
	Status *status.Tracker
	// SaveStatus saves Status for the next process. It is called from several goroutines.
	SaveStatus func() error
	// Reason returns the class of an error.
	Reason func(status.Job, error) status.Reason
	// Problems returns the reasons why the backups are unhealthy now.
	Problems func() []status.Problem
	// Serve is the HTTP server; it runs until its context ends. It starts once the directory is listed and the first mirror pass
	// has ended or taken some seconds, so that its first answer is complete.
	Serve func(context.Context)
	// Reload returns new settings on each of Hangups, or an error; nil: never.
	Reload  func(context.Context) (Settings, error)
	Hangups <-chan os.Signal
	// Heartbeat reports the health after a cycle; (*Heartbeat).Send is one.
	Heartbeat func(ctx context.Context, healthy bool) error
}

// Daemon runs cycles on a schedule.
type Daemon struct {
	Options
	clock func() time.Time

	segmentError string    // of the last upload of segments; "": it succeeded
	run          time.Time // start of the current or last run; a retry does not change it
	attempt      int       // failures in a row of that run
	warned       string    // etcd's own problems that were logged last
	owed         bool      // a snapshot must replace a bad one
	replaced     time.Time // when the last one was replaced
	drills       drills
	unsaved      atomic.Bool // the last attempt to save the status failed
	listing      sync.Mutex  // held until the status has the listing, so that an older listing never replaces a newer one

	pending     atomic.Pointer[Settings] // new ones, until the loop takes them over
	reloaded    chan struct{}            // there are new ones
	drillNext   atomic.Pointer[DrillSettings]
	newDrill    chan struct{} // likewise, for the loop of the drills
	mirrorDue   chan struct{} // a mirror pass is wanted
	replace     chan struct{} // the newest snapshot is damaged or failed its drill
	damageFound chan struct{}
	taken       chan struct{} // a snapshot was taken, for the drill that waits for the first one
	base        chan string   // why the journal needs a new snapshot
	recording   chan struct{} // closed when the first watch of the journal is open, or has failed
	segmentsDue chan struct{} // a segment of the journal is complete, or a mirror pass has ended
	mirrored    chan struct{} // closed when the first mirror pass has ended
	beats       chan bool     // whether the last cycle succeeded; holds one value until it is sent
}

// New makes a daemon; it starts nothing.
func New(o Options) *Daemon {
	if o.Notifier == nil {
		o.Notifier = &Notifier{}
	}
	if o.Status == nil {
		o.Status = status.New(status.Options{Mirror: o.Mirror != nil, Drill: o.Drill != nil && !o.Drill.Schedule.IsZero()})
	}
	if o.SaveStatus == nil {
		o.SaveStatus = func() error { return nil }
	}
	if o.Reason == nil {
		o.Reason = func(status.Job, error) status.Reason { return status.Other }
	}
	if o.Problems == nil {
		o.Problems = o.Status.Problems
	}
	signal := func() chan struct{} { return make(chan struct{}, 1) }
	return &Daemon{
		Options: o, clock: wallClock, mirrorDue: signal(), replace: signal(), taken: signal(), damageFound: signal(), reloaded: signal(), newDrill: signal(),
		base: make(chan string, 1), segmentsDue: signal(), recording: make(chan struct{}),
		mirrored: make(chan struct{}), beats: make(chan bool, 1),
	}
}

// await returns true once wake has a value or is closed; false once the limit has passed or ctx has ended.
func await(ctx context.Context, limit time.Duration, wake <-chan struct{}) bool {
	select {
	case <-ctx.Done():
	case <-wake:
		return true
	case <-time.After(limit):
	}
	return false
}

// notifyOne wakes the receiver of c, unless a wake-up is already pending.
func notifyOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and then returns nil. It fails only if the store can't be read at the start.
func (d *Daemon) Run(ctx context.Context) error {
	due, err := d.start(ctx)
	switch {
	case ctx.Err() != nil: // stopped during the start
	case err != nil:
		return err
	default:
		d.notify(d.Notifier.Ready())
		d.notify(d.Notifier.Status("next run " + stamp(due)))
	}
	var background sync.WaitGroup
	if ctx.Err() == nil {
		d.startBackground(ctx, &background)
	}
	if d.Journal != nil { // so that a snapshot that is due now is one that the journal continues
		await(ctx, journalStart, d.recording)
	}
	for d.wait(ctx, due) {
		due = d.cycle(ctx)
	}
	background.Wait()
	d.save()
	d.notify(d.Notifier.Stopping())
	d.Log.Info("stopped")
	return nil
}

// startBackground starts the loops that run alongside the cycles. A cycle never waits for them.
func (d *Daemon) startBackground(ctx context.Context, background *sync.WaitGroup) {
	serve := func(ctx context.Context) {
		d.awaitMirror(ctx)
		d.Serve(ctx)
	}
	for _, x := range []struct {
		enabled bool
		loop    func(context.Context)
	}{
		{true, d.damageLoop},
		{true, d.healthLoop},
		{d.Mirror != nil, d.mirrorLoop},
		{d.Mirror != nil && d.MirrorSegments != nil, d.segmentLoop},
		{d.Journal != nil, d.journalLoop},
		{d.Drill != nil && (d.drilling() || d.Reload != nil), d.drillLoop},
		{d.Heartbeat != nil, d.beatLoop},
		{d.Serve != nil, serve},
		{d.Reload != nil, d.reloadLoop},
	} {
		if x.enabled {
			background.Go(func() { x.loop(ctx) })
		}
	}
}

// start cleans up after a crash and returns when the first run is due: immediately if there is no snapshot, if the newest is another
// program's, or if a scheduled run was missed since the last one.
func (d *Daemon) start(ctx context.Context) (time.Time, error) {
	removed, err := d.Store.RemovePartials(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if len(removed) > 0 {
		d.Log.WithField("files", removed).Warn("removed partial snapshots of an interrupted run")
	}
	l, err := d.Store.List()
	if err != nil {
		return time.Time{}, err
	}
	now := d.clock()
	d.setInventory(l)
	newest, found := d.newest(l)
	cutOff := d.Status.Start(newest.Name)
	if cutOff[status.Snapshot] {
		d.Log.Warn("the last run was interrupted: the daemon crashed or was killed")
	}
	due, regular := now, d.Schedule.Next(now)
	proven := d.proven(newest)
	if found && proven {
		last := newest.Name.Time
		if j := d.Status.Job(status.Snapshot); j.Skipped != "" && j.Settled.After(last) {
			last = j.Settled
		}
		d.run = last
		due = d.Schedule.Next(last)
		regular = due
	}
	d.schedule(due, regular)
	d.resumeDrills(found, cutOff[status.Drill])
	d.save()
	d.logStart(newest.Name.Time, due, proven)
	return due, nil
}

func (d *Daemon) logStart(last, due time.Time, proven bool) {
	log := d.Log.WithFields(logrus.Fields{"schedule": d.Schedule.String(), "policy": d.Policy.String(), "node": cmp.Or(d.Node, d.Host), "version": d.Version})
	if d.drilling() && !last.IsZero() {
		log = log.WithField("next_drill", stamp(d.drills.next))
	}
	switch {
	case last.IsZero():
		log.Info("started; no snapshot on the disk, taking one now")
	case !proven:
		log.WithField("last", stamp(last)).Info("started; the newest snapshot is another program's, taking one now")
	case !due.After(d.clock()):
		log.WithField("last", stamp(last)).Info("started; a run was missed, taking a snapshot now")
	default:
		log.WithFields(logrus.Fields{"last": stamp(last), "next": stamp(due)}).Info("started")
	}
	d.logNodes()
}

// wait returns true once due is reached or the newest snapshot must be replaced, and false once ctx has ended. New settings are taken over
// here, between two cycles, and may change due. It polls the wall clock, because the clock may be set and the machine may be suspended.
func (d *Daemon) wait(ctx context.Context, due time.Time) bool {
	step := lookInterval
	if w := d.Notifier.Watchdog(); w > 0 {
		step = min(step, w/4)
	}
	for ctx.Err() == nil {
		d.alive()
		due = d.takeOver(due)
		now := d.clock()
		left := due.Sub(now)
		if left <= 0 {
			return true
		}
		// due is later than the next scheduled run only if the clock was set back.
		if next := d.Schedule.Next(now); next.Before(due) {
			due = next
			d.schedule(due, due)
			d.Log.WithField("next", stamp(due)).Warn("clock was set back; the next run is earlier now")
			continue
		}
		if d.owed && now.Sub(d.replaced).Abs() >= replacePause {
			d.owed, d.replaced = false, now
			d.Log.Warn("taking a snapshot now: the newest one is damaged or failed its restore drill")
			return true
		}
		select {
		case <-ctx.Done():
		case <-d.reloaded:
		case <-d.replace:
			d.owed = true
		case why := <-d.base:
			if d.attempt == 0 { // else a retry is coming
				d.Log.WithField("because", why).Info("taking a snapshot now: the journal needs a new one")
				return true
			}
		case <-time.After(min(left, step)):
			d.list()
			d.save()
		}
	}
	return false
}

func (d *Daemon) alive() { d.notify(d.Notifier.Alive()) }

// notify logs an error of a notification to systemd; backups do not depend on it.
func (d *Daemon) notify(err error) {
	if err != nil {
		d.Log.WithError(err).Warn("notifying systemd failed")
	}
}

// save saves the status for the next process. It logs only the first of several failures in a row: the runs report a failing disk too.
func (d *Daemon) save() {
	err := d.SaveStatus()
	if before := d.unsaved.Swap(err != nil); err != nil && !before {
		d.Log.WithError(err).Warn("saving the status failed; a restart would lose it")
	}
}

// schedule records when the next snapshot is due, which may be a retry, and the interval of the schedule after its run at regular.
func (d *Daemon) schedule(due, regular time.Time) {
	d.Status.Schedule(status.Snapshot, due, max(d.Schedule.Next(regular).Sub(regular), 0))
}

// wallClock is the time of day without Go's monotonic reading, which does not advance while a machine is suspended.
func wallClock() time.Time { return time.Now().Round(0) }

// stamp formats a time for log fields, in the time zone of the log's own timestamps.
func stamp(t time.Time) string { return t.Local().Format(time.RFC3339) }

// seconds formats a duration for log fields, in seconds with millisecond precision.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// fineSeconds is seconds for a latency, which is often far below one.
func fineSeconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }
