package command

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot/drill"
)

const daemonName = "daemon"

func daemonCommand(e env) *cli.Command {
	return &cli.Command{
		Name: daemonName, Usage: "take snapshots on a schedule and keep those that the policy selects",
		Flags:  append(daemonFlags(), config.LogFlags()...),
		Action: e.action(0, runDaemon),
	}
}

// daemonFlags are those that check tries too.
func daemonFlags() []cli.Flag {
	return slices.Concat(config.ScheduleFlags(), config.PolicyFlags(), []cli.Flag{config.OrphanFlag()}, config.EtcdFlags(), config.StoreFlags(), config.S3Flags(),
		config.S3PolicyFlags(), config.JournalFlags(), config.DrillFlags(), config.MonitorFlags())
}

func runDaemon(ctx context.Context, c *call) error {
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more is no reason to exit
	hangups := c.process.Hangups
	if hangups == nil { // nohup protects other commands from a signal that harms no daemon
		all := make(chan os.Signal, 1)
		signal.Notify(all, syscall.SIGHUP)
		hangups = all
	}
	return service.Run(ctx, c.cfg, service.Process{
		Program: program, Version: c.version, Stderr: c.stderr, Detected: c.origins.Detected, Find: c.origins.Find, UnknownVariables: config.UnknownVariables(c.App.Commands),
		Sources: c.origins.Sources(c.Context), Settings: c.origins.Settings(c.Context, c.cfg), Hangups: hangups, Reread: c.reread,
	})
}

// reread reads the settings as the start did, from the same command line and environment and from the file as it is now. A file that was
// read at the start must still be there.
func (i *invocation) reread(ctx context.Context) (fresh config.Reading, err error) {
	app, e := newApp(Process{Version: i.process.Version, Root: i.process.Root, Stdout: io.Discard, Stderr: io.Discard})
	app.Command(daemonName).Action = func(c *cli.Context) (err error) {
		fresh.Config, _, err = e.settings(c)
		fresh.Settings, fresh.Sources = e.origins.Settings(c, fresh.Config), e.origins.Sources(c)
		return err
	}
	err = e.run(ctx, app, i.args)
	if err == nil && i.origins.File != "" && e.origins.File == "" { // the defaults would prune what the lost settings keep
		err = config.Usagef("read --config: %s was there at the start and is gone: put it back", i.origins.File)
	}
	return fresh, err
}

// drillChildCommand is for the process that a drill starts; people have no use for it.
func drillChildCommand(e env) *cli.Command {
	return &cli.Command{
		Name: service.DrillChild, Hidden: true, Usage: "for the program's own use: one drill in a process of its own",
		Action: func(c *cli.Context) error { return drill.Main(c.Context, os.Stdin, e.stdout) },
	}
}
