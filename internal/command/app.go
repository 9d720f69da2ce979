// Package command is the command line: flags, the configuration made of them, one file for each command, and the
// mapping of errors to exit statuses.
//
// The voice: results go to stdout, as a table or JSON; logs and errors to stderr. An error is one line that says what,
// where, and the mend.
package command

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"
)

// Main runs one command and returns the process's exit status. args begins with the program's name.
func Main(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	app := newApp(version, stdout, stderr)
	err := app.RunContext(ctx, flagsFirst(app, args))
	if err != nil {
		report(stderr, err)
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
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("unknown command %q: etcd-rolling-backup --help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			daemonCommand(e), saveCommand(e), listCommand(e), verifyCommand(e), pruneCommand(e), deleteCommand(e), checkCommand(e),
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

func onUsageError(c *cli.Context, err error, _ bool) error {
	where := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		where += " " + c.Command.Name
	}
	return usagef("%w: %s --help lists the flags", err, where)
}

func noArgs(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes no argument, and %q was given", c.Command.Name, c.Args().First())
	}
	return nil
}
