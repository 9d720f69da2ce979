// Package command is the command line: flags, the configuration made of them, one file for each command, and the
// mapping of errors to exit statuses.
//
// The voice: results go to stdout, as a table or JSON; logs and errors to stderr. An error is one line that says what,
// where, and the mend.
package command

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Main runs one command and returns the process's exit status. args begins with the program's name.
func Main(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	app := newApp(version, stdout, stderr)
	defer func() {
		if log, ok := app.ErrWriter.(*logWriter); ok {
			log.Close()
		}
	}()
	err := app.RunContext(ctx, flagsFirst(app, args))
	// gRPC has an error of its own for it. Both also come from deeper down, where no signal is the reason.
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled) {
		err = errStopped
	}
	if err != nil {
		report(app.ErrWriter, err) // the daemon's own where its log may be stuck
	}
	return exitStatus(err)
}

func newApp(version string, stdout, stderr io.Writer) *cli.App {
	e := env{version: version, stdout: stdout, stderr: stderr}
	app := &cli.App{
		Name:            "etcd-rolling-backup",
		Usage:           "takes, proves and keeps snapshots of etcd",
		Version:         version,
		HideHelpCommand: true,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {}, // Main does it
		OnUsageError:    onUsageError,
		Action:          noCommand,
		Commands: []*cli.Command{
			daemonCommand(e), saveCommand(e), listCommand(e), verifyCommand(e), restoreCommand(e), pruneCommand(e), deleteCommand(e),
			mirrorCommand(e), downloadCommand(e), serveCommand(e), checkCommand(e), drillChildCommand(e),
		},
	}
	known := knownKeys(app.Commands)
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
		c.Flags = append(c.Flags, configFlag())
		c.Before = func(ctx *cli.Context) error { return applyFile(ctx, known) }
	}
	return app
}

// env is what every command gets from its process.
type env struct {
	version        string
	stdout, stderr io.Writer
}

// noCommand shows the help, of one command where it is asked for so.
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
		return usagef("unknown command %q: etcd-rolling-backup --help lists them", word)
	}
}

func noArgs(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes no argument, and %q was given", c.Command.Name, c.Args().First())
	}
	return nil
}
