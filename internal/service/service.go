// Package service builds the running daemon from a config.Config, top-down, and runs it.
//
// Invariants: nothing is changed once it has been built, except for the settings of reload.go. Errors get their class for the metrics in reason.go alone. The daemon never
// waits for a log that nobody reads.
package service

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/detect"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// With a journal, memory stays under 96 MiB at any rate and size of values. journalGC lets their garbage take half as much as what is in use, and not as
// much, for little time of the processor. Near journalMemory, bytes, Go collects garbage more often; that is not a hard limit.
const (
	journalGC     = 50
	journalMemory = 76 << 20
)

// boundMemory leaves what the environment says.
func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(journalGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(journalMemory)
	}
}

// Process is what the daemon gets from its process.
type Process struct {
	Program  string // the name to call it by
	Version  string
	Stderr   io.Writer
	Detected *detect.Member // the etcd of cfg, if nobody configured it
	// Find looks for the etcd of this node again; nil: the settings say which one is meant.
	Find             func() (*detect.Member, error)
	UnknownVariables []string       // of the environment, to warn of
	Sources          config.Sources // of cfg
	// StateFile, if set, fetches the state file of RKE's cluster for each snapshot, while that is taken. Without one, it is saved all the same.
	StateFile func(context.Context) ([]byte, error)

	// For the reload; Reread is nil without one.
	Settings []config.Setting // as they were read for the start
	Hangups  <-chan os.Signal // each is a request
	Reread   func(context.Context) (config.Reading, error)
}

// Run works until ctx ends, which gives nil. It fails if the configuration, the directory or --listen cannot work.
func Run(ctx context.Context, cfg config.Config, p Process) error {
	if err := cfg.Check(ctx); err != nil {
		return err
	}
	notifier, err := daemon.NewNotifier()
	if err != nil {
		return config.Usagef("read systemd's watchdog from the environment: %w", err)
	}
	if err := checkWatchdog(cfg.Etcd, notifier.Watchdog()); err != nil {
		return err
	}
	log, lines := newDaemonLogger(cfg.Log, p.Stderr)
	defer lines.Close()
	// They cannot be refused: Kubernetes sets such variables for a service whose name begins the same way.
	for _, name := range p.UnknownVariables {
		log.WithField("variable", name).Warn("environment variable matches no flag and has no effect")
	}
	for _, key := range p.Sources.Hidden {
		log.WithField("key", key).Warn("key of the configuration file has no effect: an environment variable or a flag takes precedence")
	}
	etcd := newFinder(cfg.Etcd, p, log)
	warnExposed(log, cfg, p.Sources)
	dir, err := prepare(cfg.Store, log)
	if err != nil {
		return err
	}
	removeDrills(dir, log)
	tracker := openStatus(cfg, dir, log) //nolint:contextcheck // it reads the journal of the directory also while the daemon stops
	name := recallMember(cfg, dir, tracker.State().Cluster)
	settings := newReloader(cfg, p, log)
	m := &monitor{status: tracker, lines: lines, log: log, home: newHome(dir, cfg.Store), settings: settings}
	defer m.home.leave()
	if err := m.listen(ctx, cfg, p, dir, name); err != nil {
		return err
	}
	t := newTaker(settings.config, etcd, p, dir, tracker, name)
	if err := t.probe(ctx, log); err != nil {
		return err
	}
	if m.server != nil {
		log.WithField("address", m.server.Addr().String()).Info("listening")
	}
	o := daemon.Options{
		Version: p.Version, Node: cfg.Store.Node, Host: cfg.Store.Host, Schedule: cfg.Schedule, Policy: cfg.Policy, OrphanAfter: cfg.Store.OrphanAfter,
		Taker: t, Store: dir, Notifier: notifier, Log: log,
		Status: tracker, SaveStatus: func() error { return tracker.Save(dir, cfg.Store.Node) },
		Reason: reason, Problems: m.problems, Serve: m.serve,
		Segments: dir, JournalKeep: cfg.Journal.Keep,
	}
	if p.Reread != nil {
		o.Hangups, o.Reload = p.Hangups, settings.reload
	}
	addOptional(&o, settings, dir)
	if cfg.Journal.On {
		boundMemory()
		r := newRecorder(settings.config, etcd, dir, p.Version, log)
		defer r.close()
		t.forced, o.Journal = r.owed.Load, r
	}
	ctx, stop := context.WithCancel(ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer stop()
	looking.Go(func() { t.lookLoop(ctx, log) })
	return daemon.New(o).Run(ctx)
}

// prepare makes the directory ready for snapshots.
func prepare(s config.Store, log logrus.FieldLogger) (*snapshot.Dir, error) {
	dir := snapshot.NewDir(s.Dir)
	if s.Exposed {
		dir = dir.Exposed()
	}
	if err := dir.Prepare(); err != nil {
		return nil, err
	}
	if dir.Shared() {
		log.WithField("directory", dir.Path()).Warn("other users can create files in the directory: use one of its own, or chmod 700 it")
	}
	return dir, nil
}

// addOptional adds what the configuration may leave out.
func addOptional(o *daemon.Options, settings *reloader, dir *snapshot.Dir) {
	cfg := settings.config()
	if cfg.S3 != nil {
		noticing, known := Noticing(cfg.S3, o.Log), &mirror.Segments{}
		passes := func() (*s3.Config, mirror.Options) {
			now, bucket := settings.config(), *noticing
			passes := MirrorOptions(now)
			passes.Status, passes.Lineage = o.Status, o.Status.Lineage
			passes.Journal.Status, passes.Journal.Known = o.Status, known
			bucket.UploadRate = now.S3.UploadRate
			return &bucket, passes
		}
		o.Mirror = func(ctx context.Context) (mirror.Result, error) {
			bucket, passes := passes()
			return MirrorOnce(ctx, bucket, dir, passes)
		}
		o.MirrorSegments = func(ctx context.Context) (mirror.Uploaded, error) {
			bucket, passes := passes()
			return MirrorSegments(ctx, bucket, dir, passes.Journal)
		}
	}
	o.Drill = &daemon.Drill{DrillSettings: drillSettings(cfg.Drill), Do: func(ctx context.Context, from status.Place) (daemon.DrillReport, error) {
		return doDrill(ctx, settings.config(), config.Place(from), dir, o.Status)
	}}
	if m := cfg.Monitor; m.Heartbeat != nil || m.HeartbeatFile != "" {
		o.Heartbeat = func(ctx context.Context, healthy bool) error {
			h, err := m.OpenHeartbeat()
			if err != nil {
				return err
			}
			return h.Send(ctx, healthy)
		}
	}
}

// openStatus knows what the last process has left. Without it the daemon works all the same.
func openStatus(cfg config.Config, dir *snapshot.Dir, log logrus.FieldLogger) *status.Tracker {
	o := status.Options{Mirror: cfg.S3 != nil, Drill: cfg.Drill.Schedule != nil, DrillFrom: status.Place(cfg.Drill.From), Ranges: journalRanges(dir)}
	if cfg.Journal.On {
		o.JournalSegment = cfg.Journal.Segment
	}
	t, err := status.Open(dir, cfg.Store.Node, o)
	if err != nil {
		log.WithError(err).Warn("starting without a part of the history")
	}
	return t
}

// checkWatchdog refuses waits during which nothing would feed systemd's watchdog for too long.
func checkWatchdog(e config.Etcd, watchdog time.Duration) error {
	switch n := len(e.Endpoints); {
	case watchdog == 0:
		return nil
	case e.Stall >= watchdog:
		return config.Usagef("--stall-timeout: %s is not shorter than systemd's WatchdogSec, %s", e.Stall, watchdog)
	case time.Duration(n)*e.Timeout >= watchdog:
		return config.Usagef("--etcd-timeout: %s for each of %d endpoints is not shorter than systemd's WatchdogSec, %s", e.Timeout, n, watchdog)
	}
	return nil
}

// MirrorOptions say what the bucket is to hold.
func MirrorOptions(cfg config.Config) mirror.Options {
	journal := mirror.Journal{Node: cfg.Store.Node, On: cfg.Journal.On, Keep: cfg.Journal.Keep, Known: &mirror.Segments{}}
	if cfg.S3 != nil && cfg.S3.AppendOnly {
		journal.Keep = 0 // the bucket's lifecycle decides
	}
	return mirror.Options{
		Journal: journal,
		Node:    cfg.Store.Node, Policy: cfg.Mirror.Policy, OrphanAfter: cfg.Mirror.OrphanAfter, OnlySent: cfg.Mirror.OnlySent,
		Locked: func(err error) bool { return errors.Is(err, s3.ErrLocked) },
	}
}

// savedStatus is what the daemon of the directory has saved, for a command that does not save it. Without a daemon it is empty.
func savedStatus(cfg config.Config) *status.Tracker {
	t, _ := status.Open(snapshot.NewDir(cfg.Store.Dir), cfg.Store.Node, status.Options{Mirror: true}) // what can't be read is not known
	return t
}

// SavedKeys returns the number of live keys that a drill of the daemon of this directory has counted in a snapshot, for those whose manifest
// does not have it.
func SavedKeys(cfg config.Config) func(e snapshot.Entry) snapshot.Count {
	t := savedStatus(cfg)
	return func(e snapshot.Entry) (keys snapshot.Count) {
		for _, p := range status.Places() {
			if c, known := t.Known(p, e); known {
				keys = keys.Or(c.Keys)
			}
		}
		return keys
	}
}

// ManualDetails are what a manual prune of the directory knows: what the manifests say, and what the daemon has counted.
func ManualDetails(cfg config.Config, dir *snapshot.Dir) prune.Details {
	saved, read := SavedKeys(cfg), prune.StoreDetails(dir)
	return func(ctx context.Context, e snapshot.Entry) (snapshot.Facts, error) {
		x, err := read(ctx, e)
		if err == nil && x.Cluster != 0 {
			x.Keys = x.Keys.Or(saved(e))
		}
		return x, err
	}
}

// ManualMirrorOptions are those of a manual pass. It doubts a listing that lacks what the daemon has seen in the bucket.
func ManualMirrorOptions(cfg config.Config) mirror.Options {
	o := MirrorOptions(cfg)
	o.Status, o.LookForOrphans = savedStatus(cfg), true
	o.Journal.Status = o.Status
	return o
}

// Noticing returns the bucket's settings for several uploads: what its server turns out not to take is logged once, and remembered.
func Noticing(bucket *s3.Config, log logrus.FieldLogger) *s3.Config {
	if bucket == nil {
		return nil
	}
	c := *bucket
	c.Learned = &s3.Learned{Notice: func(text string) { log.Info(text) }}
	return &c
}

// MirrorOnce is one pass, with keys and certificates as they are now.
func MirrorOnce(ctx context.Context, bucket *s3.Config, dir *snapshot.Dir, o mirror.Options) (mirror.Result, error) {
	b, err := source.OpenBucket(bucket)
	if err != nil {
		return mirror.Result{}, err
	}
	defer b.Close()
	o.Journal.Source, o.Journal.Bucket = dir, b
	return mirror.Pass(ctx, dir, b, o, time.Now())
}

// MirrorSegments uploads the segments of the journal that the bucket lacks.
func MirrorSegments(ctx context.Context, bucket *s3.Config, dir *snapshot.Dir, j mirror.Journal) (mirror.Uploaded, error) {
	b, err := source.OpenBucket(bucket)
	if err != nil {
		return mirror.Uploaded{}, err
	}
	defer b.Close()
	j.Source, j.Bucket = dir, b
	return j.UploadSegments(ctx, time.Now())
}

// Save takes one snapshot with a label, after it has removed what dead writers left.
func Save(ctx context.Context, cfg config.Config, o snapshot.TakeOptions, log logrus.FieldLogger) (snapshot.Taken, error) {
	dir, err := prepare(cfg.Store, log)
	if err != nil {
		return snapshot.Taken{}, err
	}
	removed, err := dir.RemovePartials(ctx)
	if err != nil {
		return snapshot.Taken{}, err
	}
	if len(removed) > 0 {
		log.WithField("files", removed).Warn("removed partial snapshots of an interrupted run")
	}
	etcd := &finder{etcd: cfg.Etcd}
	t := &taker{etcd: etcd, member: etcd.member, role: daemon.RoleAny, dir: dir, options: o, share: cfg.Store.MinFreeShare, name: &memberName{}}
	t.pacing = func() pacing { return pacingOf(cfg, time.Now()) }
	return t.Take(ctx, log, func() {})
}
