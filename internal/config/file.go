package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// DefaultFile is the configuration file that every command reads if it exists.
const DefaultFile = "/etc/etcd-rolling-backup/config.yaml"

// Attach gives each command --config, which is read before the command runs, and errors of usage in our form. root is the directory of the
// machine's files: "" or "/", except in tests. The returned Origins are those of the command that runs then, after its flags were read.
func Attach(commands []*cli.Command, root string) *Origins {
	o := &Origins{root: root, standard: filepath.Join("/", root, DefaultFile), known: knownKeys(commands)}
	for _, c := range commands {
		o.attach(c)
	}
	return o
}

func (o *Origins) attach(c *cli.Command) {
	c.OnUsageError = OnUsageError
	for _, sub := range c.Subcommands {
		o.attach(sub)
	}
	if c.Hidden || len(c.Flags) == 0 { // the first is for this program's own use: its settings are those of its parent
		return
	}
	c.Flags = append(c.Flags, o.flag())
	c.Before = o.apply
}

func (o *Origins) flag() cli.Flag {
	f := Text("general", "config", o.standard, `YAML `+"`FILE`"+` with flag names as keys; flags and environment variables take precedence; the default is read if it exists; "": none`)
	f.EnvVars, f.DefaultText = slices.DeleteFunc(f.EnvVars, isEmpty), DefaultFile
	return f
}

// UnknownVariables are environment variables that look like that of a flag and match none.
func UnknownVariables(commands []*cli.Command) []string {
	known := append(knownKeys(commands), "config")
	var unknown []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		flag, ours := strings.CutPrefix(name, ownVariable)
		if ours && !slices.Contains(known, strings.ToLower(strings.ReplaceAll(flag, "_", "-"))) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// knownKeys are the flags of all commands: one file serves them all.
func knownKeys(commands []*cli.Command) []string {
	var keys []string
	for _, c := range commands {
		for _, f := range c.Flags {
			if name := f.Names()[0]; name != "config" {
				keys = append(keys, name)
			}
		}
	}
	return keys
}

func (o *Origins) apply(c *cli.Context) error {
	if err := o.applyFile(c); err != nil {
		return err
	}
	return o.detect(c)
}

// applyFile sets the flags that neither the command line nor the environment has set from the file. Unknown keys are errors, unlike in the
// library's own reader: a backup that runs with half its settings is worse than one that does not start.
func (o *Origins) applyFile(c *cli.Context) error {
	path := c.String("config")
	if path == "" {
		return nil
	}
	settings, err := readFile(path)
	if absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR); absent {
		if link := leadsNowhere(path); link != "" {
			return Usagef("read --config: %s is a symbolic link that leads nowhere: is the disk mounted? remove the link if there are no settings", link)
		}
		if path == o.standard && !c.IsSet("config") {
			return nil
		}
	}
	if err != nil {
		return err
	}
	o.File, o.lines = path, map[string]int{}
	for pair := range slices.Chunk(settings, 2) {
		key, value := pair[0], pair[1]
		where := fmt.Sprintf("%s line %d", path, key.Line)
		switch {
		case o.lines[key.Value] > 0:
			return Usagef("%s: %q is given twice, first in line %d: remove one of them", where, key.Value, o.lines[key.Value])
		case key.Value == "name": // it would still set the flag of restore in a file that was written for save
			return Usagef("%s: \"name\" set the label of save and the member of restore: write \"label\" for save, and use restore --name on the command line", where)
		case !slices.Contains(o.known, key.Value):
			return Usagef("%s: unknown key %q: %skeys are flag names without the leading hyphens", where, key.Value, DidYouMean(keyForm(key.Value), o.known))
		}
		o.lines[key.Value] = key.Line
		if relativeDir(key.Value, value) {
			return Usagef("%s: %s: a relative path is another one for each process: write the whole path, beginning with /", where, key.Value)
		}
		if holdsSecret(key.Value, value) {
			o.secrets = append(o.secrets, key.Value)
		}
		i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == key.Value })
		if i < 0 {
			continue
		}
		flag := c.Command.Flags[i]
		if c.IsSet(key.Value) && !setToNothing(c, flag) {
			o.hidden = append(o.hidden, key.Value)
			continue
		}
		text, err := plainValue(value, flag)
		if err != nil {
			return Usagef("%s: %s: %w", where, key.Value, err)
		}
		if err := c.Set(key.Value, text); err != nil {
			return Usagef("%s: %s: %w", where, key.Value, notAccepted(flag, text, err))
		}
		o.applied = append(o.applied, key.Value)
	}
	return nil
}

// relativeDir reports a directory that depends on the one in which a process runs. The daemon's is another one than that of who runs a
// command, who would see no snapshots, or would restore to where no etcd looks.
func relativeDir(key string, value *yaml.Node) bool {
	return slices.Contains([]string{"dir", "data-dir", "wal-dir"}, key) && value.Tag == "!!str" && value.Value != "" && !filepath.IsAbs(value.Value)
}

// leadsNowhere returns which of a missing file and its directory is a symbolic link; "": none. Somebody has made it for settings, which must
// not be replaced by the defaults.
func leadsNowhere(path string) string {
	for _, path := range []string{path, filepath.Dir(path)} {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return path
			}
		}
	}
	return ""
}

// setToNothing reports a flag that only an empty variable sets. That is no setting: it must not hide the file's.
func setToNothing(c *cli.Context, f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || !slices.ContainsFunc(d.GetEnvVars(), isEmpty) {
		return false
	}
	_, isBool := f.(*cli.BoolFlag)
	name := f.Names()[0]
	return isBool && !c.Bool(name) || !isBool && c.String(name) == "" && len(slices.DeleteFunc(c.StringSlice(name), func(s string) bool { return s == "" })) == 0
}
