package rketools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot/peer"
)

const (
	// Command is the word before the subcommands, in RKE's calls and ours.
	Command = "etcd-backup"
	// Binary is the name under which RKE starts the program.
	Binary = "rke-etcd-backup"
)

// Exit statuses, as those of rke-tools.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUnknown = 3 // no such subcommand
)

var (
	errUnknown = errors.New("unknown subcommand")
	errStopped = errors.New("stopped by a signal")
)

// Wanted reports whether a process with these arguments is rke-tools. own are the words that the program calls itself with.
func Wanted(args []string, own ...string) bool {
	word := ""
	if len(args) > 1 {
		word = args[1]
	}
	return word == Command || len(args) > 0 && filepath.Base(args[0]) == Binary && !slices.Contains(own, word)
}

// Main runs one subcommand and returns the process's exit status. args begins with the program's name. The error is the last line of stderr.
func Main(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	app := newApp(process{version: version, stdout: stdout, stderr: stderr, paths: Paths{Root: os.Getenv(RootVariable)}, do: actions{
		save: save, remove: remove, download: downloadSnapshot, extractStateFile: extractStateFile, serve: serveSnapshot,
	}})
	err := dispatch(ctx, app, args)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errStopped, err)
	}
	if err != nil {
		w := service.NewLogWriter(stderr, nil) // nobody may be reading
		service.NewLogger(config.Log{}, w).Error(line(err))
		w.Close()
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUnknown):
		return exitUnknown
	default:
		return exitFailed
	}
}

// dispatch drops the word etcd-backup, which every call has.
func dispatch(ctx context.Context, app *cli.App, args []string) error {
	i := 1
	for i < len(args) && strings.HasPrefix(args[i], "-") { // global flags
		i++
	}
	switch {
	case i == len(args):
	case args[i] == Command:
		args = slices.Delete(slices.Clone(args), i, i+1)
	case args[i] != "help" && args[i] != "h":
		return config.Usagef("%w %q: the calls are %s", errUnknown, args[i], app.Name)
	}
	return app.RunContext(ctx, config.FlagsFirst(app, args))
}

func newApp(p process) *cli.App {
	sub := func(name, usage string, flags []cli.Flag, action cli.ActionFunc) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Flags: flags, Action: noArguments(action), OnUsageError: onUsageError, HideHelpCommand: true}
	}
	return &cli.App{
		Name: Binary + " " + Command, Usage: "the command line of rke-tools, as RKE uses it", Version: p.version, HideHelpCommand: true,
		Writer: p.stdout, ErrWriter: p.stderr, OnUsageError: config.OnUsageError, Action: noSubcommand, Flags: []cli.Flag{debugFlag()},
		ExitErrHandler: func(*cli.Context, error) {}, // Main does it
		Commands: []*cli.Command{
			sub("save", "take snapshots of etcd again and again, or --once, and upload them to S3", saveFlags(), p.save),
			sub("delete", "delete a snapshot here and in S3", deleteFlags(), p.delete),
			sub("download", "download a snapshot from S3, or from the host that serves it", commonFlags(), p.download),
			sub("extractstatefile", "extract the cluster's state file from a snapshot", snapshotFlags(), p.extractStateFile),
			sub("serve", "serve a snapshot to other hosts", serveFlags(), p.serve),
		},
	}
}

// noSubcommand shows the help, or that of the subcommand that follows the word help.
func noSubcommand(c *cli.Context) error {
	word := c.Args().First()
	if word == "help" || word == "h" {
		word = c.Args().Get(1)
	}
	switch {
	case word == "":
		return cli.ShowAppHelp(c)
	case c.App.Command(word) != nil:
		return cli.ShowCommandHelp(c, word)
	default:
		return config.Usagef("%w %q: %s --help lists them", errUnknown, word, c.App.Name)
	}
}

// onUsageError corrects the one text of config that does not know durations.
func onUsageError(c *cli.Context, err error, sub bool) error {
	if m := regexp.MustCompile(`^invalid value (".*") for flag -(creation|retention): parse error$`).FindStringSubmatch(err.Error()); m != nil {
		return config.Usagef("--%s: %s is not a duration like 30m or 12h", m[2], m[1])
	}
	return config.OnUsageError(c, err, sub)
}

func noArguments(do cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() > 0 {
			return config.Usagef("%s takes no argument, and %q was given", c.Command.Name, c.Args().First())
		}
		return do(c)
	}
}

// process is what every subcommand gets from its process.
type process struct {
	version        string
	stdout, stderr io.Writer
	paths          Paths
	do             actions
}

// actions do what the subcommands are for.
type actions struct {
	save             func(context.Context, saveOptions) error
	remove           func(context.Context, deleteOptions) error
	download         func(context.Context, downloadOptions) error
	extractStateFile func(context.Context, call) error
	serve            func(context.Context, call, peer.Identity) error
}

// call is one call of a subcommand.
type call struct {
	process
	// ours are the settings of this program that RKE's flags do not have, from the ETCD_BACKUP_ variables in services.etcd.extra_env.
	ours config.Config
	log  *logrus.Logger
	name string // --name
	s3   *s3Options
}

// line is an error's text in one line, with the flags of this command line.
func line(err error) string {
	return printable.Text(flagNames().Replace(service.ErrorLine(err)))
}

// flagNames replaces our flags in the hints of packages below by RKE's.
func flagNames() *strings.Replacer {
	return strings.NewReplacer(
		"--s3-access-key-file and --s3-secret-key-file", "--s3-accessKey and --s3-secretKey ($S3_ACCESS_KEY and $S3_SECRET_KEY)",
		"--s3-access-key-file", "--s3-accessKey ($S3_ACCESS_KEY)",
		"--s3-secret-key-file", "--s3-secretKey ($S3_SECRET_KEY)",
		"--s3-bucket-lookup", "--s3-bucket-lookup", // as it is
		"write http:// in --s3-endpoint if you want that", "RKE's calls need a server with https",
		"--s3-bucket", "--s3-bucketName",
		"--s3-ca", "--s3-endpoint-ca",
		"--listen", "ETCD_BACKUP_LISTEN", "--min-free", "ETCD_BACKUP_MIN_FREE", "--dir:", "/backup:",
	)
}
