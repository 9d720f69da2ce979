package command

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

func daemonCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "daemon", Usage: "take snapshots on a schedule and keep the ones that the policy wants",
		Flags:  group(scheduleFlags(), policyFlags(), etcdFlags(), storeFlags(), s3Flags(), s3PolicyFlags(), drillFlags(), monitorFlags(), logFlags()),
		Action: func(c *cli.Context) error { return runDaemon(c, e) },
	}
}

func runDaemon(c *cli.Context, e env) error {
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more is no reason to end
	if err := noArgs(c); err != nil {
		return err
	}
	log, lines, err := daemonLogger(c, e.stderr)
	if err != nil {
		return err
	}
	notifier, err := daemon.NewNotifier()
	if err != nil {
		return usagef("read systemd's watchdog from the environment: %w", err)
	}
	t, o, err := daemonOptions(c, e)
	if err != nil {
		return err
	}
	if err := checkWatchdog(c, notifier.Watchdog(), t.options.Stall); err != nil {
		return err
	}
	w, err := monitorOptions(c)
	if err != nil {
		return err
	}
	o.Notifier, o.Log, o.Version, w.log = notifier, log, e.version, lines
	warnUnknown(c, log)
	if err := t.dir.Prepare(); err != nil {
		return err
	}
	removeDrills(t.dir, log)
	address, err := w.open(c, e, t, &o)
	if err != nil {
		return err
	}
	if err := t.greet(c.Context, log); err != nil {
		return err
	}
	if address != "" {
		log.WithField("address", address).Info("listening")
	}
	return runBeside(c.Context, func(ctx context.Context) { t.lookLoop(ctx, log) }, daemon.New(o).Run)
}

// runBeside runs work, and beside it another that ends with it.
func runBeside(ctx context.Context, beside func(context.Context), work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { beside(ctx) })
	err := work(ctx)
	cancel()
	ended.Wait()
	return err
}

// checkWatchdog refuses waits in which nothing would feed systemd's watchdog for too long.
func checkWatchdog(c *cli.Context, watchdog, stall time.Duration) error {
	if watchdog == 0 {
		return nil
	}
	if stall >= watchdog {
		return usagef("--stall-timeout: %s is not shorter than systemd's WatchdogSec, %s", stall, watchdog)
	}
	each, err := positive(c, "etcd-timeout")
	if err != nil {
		return err
	}
	if n := len(c.StringSlice("endpoints")); time.Duration(n)*each >= watchdog {
		return usagef("--etcd-timeout: %s for each of %d endpoints is not shorter than systemd's WatchdogSec, %s", each, n, watchdog)
	}
	return nil
}

// warnUnknown tells of variables that look like flags and are none. They can't be refused: Kubernetes sets such for a
// service whose name begins alike.
func warnUnknown(c *cli.Context, log logrus.FieldLogger) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "ETCD_BACKUP_") {
			continue
		}
		flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "ETCD_BACKUP_"), "_", "-"))
		if !slices.Contains(knownKeys(c.App.Commands), flag) {
			log.WithField("variable", name).Warn("variable names no flag; it has no effect")
		}
	}
}

// daemonOptions reads the whole configuration before anything starts.
func daemonOptions(c *cli.Context, e env) (*taker, daemon.Options, error) {
	var o daemon.Options
	take, err := takeOptions(c, e.version)
	if err != nil {
		return nil, o, err
	}
	take.Set = snapshot.RollingSet
	if o.Schedule, err = schedule(c, take.Node); err != nil {
		return nil, o, err
	}
	if o.Policy, err = policy(c); err != nil {
		return nil, o, err
	}
	role, err := daemon.ParseRole(c.String("only-on"))
	if err != nil {
		return nil, o, usagef("--only-on: %w", err)
	}
	if _, err := etcdConfig(c); err != nil {
		return nil, o, err
	}
	dir, err := directory(c)
	if err != nil {
		return nil, o, err
	}
	t := &taker{connect: func() (member.Config, error) { return etcdConfig(c) }, role: role, dir: dir, options: take}
	o.Node, o.Store, o.Taker, o.Runs = take.Node, dir, t, note[daemon.RunReport](dir, snapshot.RunNote(take.Node))
	o.Damages = note[[]metrics.Damage](dir, snapshot.DamageNote(take.Node))
	if o.Drill, err = drills(c, dir, take.Node, take.MinFree); err != nil {
		return nil, o, err
	}
	if err := checkS3(c); err != nil || !hasBucket(c) {
		return t, o, err
	}
	mirror, err := mirrorOptions(c, take.Node, o.Policy)
	o.Mirror = func(ctx context.Context) (daemon.Mirrored, error) {
		mirror.Recorder = t.metrics
		return mirrorPass(ctx, c, dir, mirror)
	}
	return t, o, err
}
