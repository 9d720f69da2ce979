package command

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/detect"
	"etcd-rolling-backup/internal/printable"
)

// configCommand has one subcommand for each thing to do with the settings. keys are those of all other commands.
func configCommand(e env, keys []cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "config show: the effective settings and where they come from; config example: a commented configuration file; config detect: one for the etcd on this node", ArgsUsage: "COMMAND", HideHelpCommand: true,
		Action: noSubcommand, Subcommands: []*cli.Command{configShowCommand(e, keys), configExampleCommand(e), configDetectCommand(e)},
	}
}

// noSubcommand says which subcommands there are.
func noSubcommand(c *cli.Context) error {
	names := ""
	for i, sub := range c.Command.Subcommands {
		if names += sub.Name; i < len(c.Command.Subcommands)-1 {
			names += ", "
		}
	}
	if word := c.Args().First(); word != "" {
		return config.Usagef("unknown command %q: %s takes one of: %s", c.Command.Name+" "+word, c.Command.Name, names)
	}
	return config.Usagef("%s needs one of: %s", c.Command.Name, names)
}

// shownSettings are the result of config show.
type shownSettings struct {
	File     string           `json:"file"` // "": none was read
	Settings []config.Setting `json:"settings"`
}

func configShowCommand(e env, keys []cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show the effective value of every key and where it comes from, without secrets; takes the flags of all commands",
		Flags: keys, Action: e.action(0, configShow),
	}
}

func configShow(_ context.Context, c *call) error {
	result := shownSettings{File: c.origins.File, Settings: c.origins.Settings(c.Context, c.cfg)}
	return c.show(result, func(p *printer) {
		if result.File == "" {
			p.line("no configuration file; the default is %s", config.DefaultFile)
		} else {
			p.line("configuration file: %s", result.File)
		}
		if err := c.origins.DetectError; err != nil {
			p.line("%s", line(err))
		}
		var lines [][]string
		for _, s := range result.Settings {
			from := s.Source
			switch {
			case s.Source == config.FromDefault && s.Where != "":
				from += " (" + s.Where + ")"
			case s.Source == config.FromDetection:
				from += " (" + s.Where + ")"
			case s.Where != "":
				from = s.Where
			}
			lines = append(lines, []string{s.Key, s.Value, from})
		}
		p.table([]string{"KEY", "VALUE", "FROM"}, lines)
	})
}

func configExampleCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "example", Usage: "print a configuration file with every key of the daemon, commented out; what ETCD_BACKUP_... variables set is set in it",
		Action: func(c *cli.Context) error {
			return e.printExample(c, "", config.FromEnvironmentAlone)
		},
	}
}

// configDetectCommand looks at this machine alone, whatever is configured.
func configDetectCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "detect", Usage: "print a configuration file with the endpoint, the certificates and the data directory of the etcd on this node set",
		Action: func(c *cli.Context) error {
			found, err := detect.Find(e.process.Root)
			switch {
			case err != nil:
				return config.Usagef("%w", err)
			case found == nil:
				return detect.ErrNone
			}
			values := config.MemberValues(*found)
			return e.printExample(c, "# Detected on this node: "+printable.Text(found.String())+"\n\n", func(key string) (string, bool) { return values[key], values[key] != "" })
		},
	}
}

func (e env) printExample(c *cli.Context, head string, value func(key string) (string, bool)) error {
	if c.NArg() > 0 {
		return config.Usagef("%s takes no argument, and %q was given", config.CommandName(c), c.Args().First())
	}
	if _, err := io.WriteString(e.stdout, head+config.Example(nodeFlags(), value)); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	return nil
}

// nodeFlags are those whose values belong to a node and not to one call of a command.
func nodeFlags() []cli.Flag {
	flags := append(daemonFlags(), config.LogFlags()...)
	for _, f := range config.RestoreFlags() {
		switch f.Names()[0] {
		case "data-dir", "wal-dir", "chown":
			flags = append(flags, f)
		}
	}
	return flags
}
