// Package command is the command line: one file for each command, its output, and the mapping of errors to exit statuses.
//
// Results go to stdout, as a table or JSON; logs and errors go to stderr. An error is one line that says what failed,
// where, and how to fix it.
package command

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
)

const program = "etcd-rolling-backup"

// Main runs one command and returns the process's exit status. args begins with the program's name.
func Main(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	app := newApp(version, stdout, stderr)
	err := app.RunContext(ctx, config.FlagsFirst(app, args))
	// gRPC has its own error for this. Both also come from deeper down, without a signal.
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled) {
		err = errStopped
	}
	if err != nil {
		w := service.NewLogWriter(stderr, nil) // nobody may be reading
		report(w, err)
		w.Close()
	}
	return exitStatus(err)
}

func newApp(version string, stdout, stderr io.Writer) *cli.App {
	e := env{version: version, stdout: stdout, stderr: stderr}
	app := &cli.App{
		Name:            program,
		Usage:           "takes, verifies and keeps snapshots of etcd",
		Version:         version,
		HideHelpCommand: true,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {}, // Main does it
		OnUsageError:    config.OnUsageError,
		Action:          noCommand,
		Commands: []*cli.Command{
			daemonCommand(e), saveCommand(e), listCommand(e), verifyCommand(e), restoreCommand(e), pruneCommand(e), deleteCommand(e),
			mirrorCommand(e), downloadCommand(e), serveCommand(e), checkCommand(e), drillChildCommand(e),
		},
	}
	config.Attach(app.Commands)
	return app
}

// env is what every command gets from its process.
type env struct {
	version        string
	stdout, stderr io.Writer
}

// noCommand shows the help, or that of the command that follows the word help.
func noCommand(c *cli.Context) error {
	word := c.Args().First()
	if word == "help" {
		word = c.Args().Get(1)
	}
	switch {
	case word == "":
		return cli.ShowAppHelp(c)
	case c.App.Command(word) != nil:
		return cli.ShowCommandHelp(c, word)
	default:
		return config.Usagef("unknown command %q: etcd-rolling-backup --help lists them", word)
	}
}

// settings are those of a command without arguments whose results may be JSON.
func settings(c *cli.Context) (cfg config.Config, asJSON bool, err error) {
	if c.Args().Present() {
		return cfg, false, config.Usagef("%s takes no argument, and %q was given", c.Command.Name, c.Args().First())
	}
	return settingsWithArgs(c)
}

// settingsFor are those of a command for one snapshot, and which one that is.
func settingsFor(c *cli.Context) (cfg config.Config, ref string, asJSON bool, err error) {
	if c.NArg() > 1 {
		return cfg, "", false, config.Usagef("%s takes one snapshot, and %d were given", c.Command.Name, c.NArg())
	}
	if ref = c.Args().First(); ref == "" {
		ref = snapshot.Latest
	}
	cfg, asJSON, err = settingsWithArgs(c)
	return cfg, ref, asJSON, err
}

func settingsWithArgs(c *cli.Context) (cfg config.Config, asJSON bool, err error) {
	if asJSON, err = config.ReadOutput(c); err != nil {
		return cfg, false, err
	}
	cfg, err = config.Read(c)
	return cfg, asJSON, err
}
