// Package command is the command line: one file for each command, its output, and the mapping of errors to exit statuses.
//
// Results go to stdout, as a table or JSON; logs and errors go to stderr. An error is one line that says what failed, where, and how to fix it.
package command

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/rketools"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

const program = "etcd-rolling-backup"

// StopsOnQuit reports whether SIGQUIT ends the command cleanly, as `docker stop` ends containers of RKE. Elsewhere it shows the goroutines.
func StopsOnQuit(args []string) bool { return rketools.Wanted(args, service.DrillChild) }

// Process is what the command line gets from its process.
type Process struct {
	Version string
	// Root is the directory of the machine's files, such as /etc: "" is the real one, which no test may depend on.
	Root           string
	Hangups        <-chan os.Signal // SIGHUP: the daemon reads its settings again, every other command stops; nil: it is ignored
	Stdout, Stderr io.Writer
}

// Main runs one command and returns the process's exit status. args begins with the program's name.
func Main(ctx context.Context, p Process, args []string) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if rketools.Wanted(args, service.DrillChild) {
		go (&invocation{process: p, stop: stop}).stopOnHangup(ctx)
		return rketools.Main(ctx, p.Version, args, p.Stdout, p.Stderr)
	}
	app, e := newApp(p)
	e.stop = stop
	err := e.run(ctx, app, args)
	// gRPC has its own error for this. Both also come from deeper down, without a signal.
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled) {
		err = errStopped
	}
	if err != nil && !errors.Is(err, errDifferent) {
		w := service.NewLogWriter(p.Stderr, nil) // nobody may be reading
		report(w, err)
		w.Close()
	}
	return exitStatus(err)
}

func newApp(p Process) (*cli.App, env) {
	e := env{version: p.Version, stdout: p.Stdout, stderr: p.Stderr, invocation: &invocation{process: p, stop: func() {}}}
	app := &cli.App{
		Name: program, Usage: "takes, verifies and keeps snapshots of etcd", Version: p.Version, HideHelpCommand: true,
		Writer: p.Stdout, ErrWriter: p.Stderr, OnUsageError: config.OnUsageError, Action: noCommand,
		ExitErrHandler: func(*cli.Context, error) {}, // Main does it
		Commands: []*cli.Command{
			daemonCommand(e), saveCommand(e), listCommand(e), verifyCommand(e), restoreCommand(e), lsCommand(e), getCommand(e), diffCommand(e), exportCommand(e), logCommand(e),
			pruneCommand(e), deleteCommand(e),
			mirrorCommand(e), fleetCommand(e), downloadCommand(e), serveCommand(e), checkCommand(e), healthCommand(e),
			drillChildCommand(e),
		},
	}
	app.Commands = append(app.Commands, configCommand(e, config.Keys(app.Commands)))
	e.origins = config.Attach(app.Commands, p.Root)
	return app, e
}

// noCommand shows the help, or that of the command that follows the word help. Without a word, help is not what was asked for: a
// container without arguments must not look like one that has done its work.
func noCommand(c *cli.Context) error {
	word := c.Args().First()
	help := word == "help"
	if help {
		word = c.Args().Get(1)
	}
	switch {
	case word == "" && help:
		return cli.ShowAppHelp(c)
	case word == "":
		c.App.Writer = c.App.ErrWriter
		return errors.Join(cli.ShowAppHelp(c), config.Usagef("no command is given: run it with one, such as daemon"))
	case c.App.Command(word) != nil:
		return cli.ShowCommandHelp(c, word)
	default:
		var names []string
		for _, known := range c.App.VisibleCommands() {
			names = append(names, known.Name)
		}
		return config.Usagef("unknown command %q: %setcd-rolling-backup --help lists them", word, config.DidYouMean(word, names))
	}
}

// env is what every command gets from its process.
type env struct {
	version        string
	stdout, stderr io.Writer
	*invocation
}

// invocation is the one command line that an app is for.
type invocation struct {
	process Process
	args    []string
	origins *config.Origins
	stop    context.CancelFunc // as by a signal
}

func (i *invocation) run(ctx context.Context, app *cli.App, args []string) error {
	i.args, i.origins.Words = args, config.FlagsFirst(app, args)
	return app.RunContext(ctx, i.origins.Words)
}

// stopOnHangup stops the command once its terminal is gone. A second signal ends the process immediately.
func (i *invocation) stopOnHangup(ctx context.Context) {
	select {
	case <-i.process.Hangups:
		signal.Reset()
		i.stop()
	case <-ctx.Done():
	}
}

// call is one run of a command, with its settings.
type call struct {
	*cli.Context
	env
	cfg          config.Config
	asJSON       bool           // results are printed as JSON
	ref          string         // the first argument: which snapshot
	before       []string       // the words before the snapshot in a command line of this kind, for a command that is proposed
	found        *source.Opened // the snapshot that was looked into last; its file is closed
	foundCluster snapshot.ID    // that it was taken from; 0: not known
	at           *config.At     // the moment to look at; nil: that of the snapshot
	warnings     []string       // what may be wrong with the result
}

// action reads the settings and runs the command.
func (e env) action(maxArgs int, do func(context.Context, *call) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Command.Name != daemonName {
			go e.stopOnHangup(c.Context)
		}
		switch {
		case c.NArg() <= maxArgs:
		case maxArgs == 0:
			return config.Usagef("%s takes no argument, and %q was given", config.CommandName(c), c.Args().First())
		case maxArgs == 1:
			what, _, _ := strings.Cut(strings.Trim(c.Command.ArgsUsage, "["), "]")
			return config.Usagef("%s takes one %s, and %d were given", c.Command.Name, strings.ToLower(what), c.NArg())
		default:
			return config.Usagef("%s takes at most %d arguments, and %d were given", c.Command.Name, maxArgs, c.NArg())
		}
		cfg, asJSON, err := e.settings(c)
		if err != nil {
			return err
		}
		return do(c.Context, &call{Context: c, env: e, cfg: cfg, asJSON: asJSON, ref: cmp.Or(c.Args().First(), snapshot.Latest)})
	}
}

// settings reads the settings of a command.
func (e env) settings(c *cli.Context) (cfg config.Config, asJSON bool, err error) {
	var also []string
	if c.Command.Name == getName {
		also = []string{formatYAML, formatRaw}
	}
	if asJSON, err = config.ReadOutput(c, also...); err == nil {
		cfg, err = config.Read(c)
	}
	cfg.Etcd.Undetected = e.origins.Undetected()
	if err == nil && (c.Command.Name == daemonName || c.Command.Name == saveName) { // check and config show say more than this
		err = e.origins.DetectError
	}
	return cfg, asJSON, e.origins.Locate(c, err)
}

// open opens the snapshot that the command is for; one that is elsewhere is fetched first.
func (c *call) open(ctx context.Context, r source.Request) (*source.Opened, error) {
	bar := newProgress(c.stderr, "downloading")
	defer bar.done()
	r.Reference, r.Dir, r.Bucket, r.Identity, r.Progress = c.ref, c.cfg.Store.Dir, c.cfg.S3, c.cfg.Etcd.Identity, bar.update
	r.Host = hostName()
	r.Notice = c.notice
	return source.Open(ctx, r)
}

// scratch is where segments of the bucket are read: next to the snapshots, or where there is room for temporary files.
func (c *call) scratch() *snapshot.Dir { return source.ScratchAt(c.cfg.Store.Dir) }

// hostName is "" if it is not known: it only helps to choose.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
