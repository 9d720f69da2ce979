// Package service builds the running daemon from a config.Config, top-down, and runs it.
//
// Invariants: nothing is changed once it has been built. Errors get their class for the metrics in reason.go alone. The daemon never
// waits for a log that nobody reads.
package service

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Process is what the daemon gets from its process.
type Process struct {
	Program          string // the name to call it by
	Version          string
	Stderr           io.Writer
	UnknownVariables []string // of the environment, to warn of
}

// Run works until ctx ends, which gives nil. It fails if the configuration, the directory or --listen cannot work.
func Run(ctx context.Context, cfg config.Config, p Process) error {
	if err := cfg.Check(); err != nil {
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
	dir := snapshot.NewDir(cfg.Store.Dir)
	if err := dir.Prepare(); err != nil {
		return err
	}
	removeDrills(dir, log)
	name := recallMember(cfg, dir)
	m, err := openMonitor(ctx, cfg, p, dir, monitorParts{member: name, lines: lines, log: log})
	if err != nil {
		return err
	}
	t := &taker{member: cfg.Etcd.Member, role: cfg.Role, dir: dir, options: takeOptions(cfg, p.Version), metrics: m.metrics, name: name}
	if err := t.probe(ctx, log); err != nil {
		return err
	}
	if m.server != nil {
		log.WithField("address", m.server.Addr().String()).Info("listening")
	}
	d := daemon.New(daemon.Options{
		Version: p.Version, Node: cfg.Store.Node, Schedule: cfg.Schedule, Policy: cfg.Policy,
		Taker: t, Store: dir, Mirror: mirror(cfg, dir, m.metrics), Drill: drills(cfg, dir),
		Runs:     note[daemon.RunReport](dir, snapshot.RunNote(cfg.Store.Node)),
		Damages:  note[[]metrics.Damage](dir, snapshot.DamageNote(cfg.Store.Node)),
		Notifier: notifier, Log: log, Recorder: m.metrics, Reason: reason, Serve: m.serve(), Health: m.health, Heartbeat: heartbeat(cfg.Monitor),
	})
	return runWithBackground(ctx, func(ctx context.Context) { t.lookLoop(ctx, log) }, d.Run)
}

// runWithBackground runs work, and in the background another that stops with it.
func runWithBackground(ctx context.Context, background func(context.Context), work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var stopped sync.WaitGroup
	stopped.Go(func() { background(ctx) })
	err := work(ctx)
	cancel()
	stopped.Wait()
	return err
}

// checkWatchdog refuses waits during which nothing would feed systemd's watchdog for too long.
func checkWatchdog(e config.Etcd, watchdog time.Duration) error {
	if watchdog == 0 {
		return nil
	}
	if e.Stall >= watchdog {
		return config.Usagef("--stall-timeout: %s is not shorter than systemd's WatchdogSec, %s", e.Stall, watchdog)
	}
	if n := len(e.Endpoints); time.Duration(n)*e.Timeout >= watchdog {
		return config.Usagef("--etcd-timeout: %s for each of %d endpoints is not shorter than systemd's WatchdogSec, %s", e.Timeout, n, watchdog)
	}
	return nil
}

func takeOptions(cfg config.Config, version string) snapshot.TakeOptions {
	return snapshot.TakeOptions{
		Set: snapshot.RollingSet, Node: cfg.Store.Node, ToolVersion: version, MinFree: cfg.Store.MinFree, Stall: cfg.Etcd.Stall,
	}
}

// note is a file next to the snapshots.
func note[T any](dir *snapshot.Dir, name string) daemon.Note[T] {
	return daemon.Note[T]{
		Read: func() (v T, err error) {
			err = dir.ReadNote(name, &v)
			return v, err
		},
		Keep: func(v T) error { return dir.KeepNote(name, v) },
	}
}

// mirror is the daemon's; nil without a bucket.
func mirror(cfg config.Config, dir *snapshot.Dir, r daemon.Recorder) func(context.Context) (daemon.Mirrored, error) {
	if cfg.S3 == nil {
		return nil
	}
	o := MirrorOptions(cfg)
	o.Recorder = r
	return func(ctx context.Context) (daemon.Mirrored, error) { return MirrorOnce(ctx, cfg.S3, dir, o) }
}

// MirrorOptions say what the bucket is to hold.
func MirrorOptions(cfg config.Config) daemon.MirrorOptions {
	return daemon.MirrorOptions{
		Node: cfg.Store.Node, Policy: cfg.Mirror.Policy, OrphanAfter: cfg.Mirror.OrphanAfter,
		Locked: func(err error) bool { return errors.Is(err, s3.ErrLocked) }, Suspects: map[snapshot.Entry]bool{},
	}
}

// MirrorOnce is one pass, with keys and certificates as they are now.
func MirrorOnce(ctx context.Context, bucket *s3.Config, dir *snapshot.Dir, o daemon.MirrorOptions) (daemon.Mirrored, error) {
	b, err := source.OpenBucket(bucket)
	if err != nil {
		return daemon.Mirrored{}, err
	}
	defer b.Close()
	return daemon.Mirror(ctx, dir, b, o, time.Now())
}

func heartbeat(m config.Monitor) func(context.Context, bool) error {
	if m.Heartbeat == nil {
		return nil
	}
	return m.Heartbeat.Send
}

// Save takes one snapshot with a label, after it has removed what dead writers left.
func Save(ctx context.Context, cfg config.Config, o snapshot.TakeOptions, log logrus.FieldLogger) (snapshot.Taken, error) {
	dir := snapshot.NewDir(cfg.Store.Dir)
	if err := dir.Prepare(); err != nil {
		return snapshot.Taken{}, err
	}
	removed, err := dir.RemovePartials(ctx)
	if err != nil {
		return snapshot.Taken{}, err
	}
	if len(removed) > 0 {
		log.WithField("files", removed).Warn("removed partial snapshots of an interrupted run")
	}
	t := &taker{member: cfg.Etcd.Member, role: daemon.RoleAny, dir: dir, options: o, name: &memberName{}}
	return t.Take(ctx, log, func() {})
}
