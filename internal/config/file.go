package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"etcd-rolling-backup/snapshot/keyfile"
)

// Attach gives each command --config, which is read before the command runs, and errors of usage in our form.
func Attach(commands []*cli.Command) {
	known := knownKeys(commands)
	for _, c := range commands {
		c.OnUsageError = OnUsageError
		c.Flags = append(c.Flags, Text("general", "config", "", "YAML `FILE` with flag names as keys; flags and environment variables take precedence"))
		c.Before = func(ctx *cli.Context) error { return applyFile(ctx, known) }
	}
}

// UnknownVariables are environment variables that look like that of a flag and match none.
func UnknownVariables(commands []*cli.Command) []string {
	known := knownKeys(commands)
	var unknown []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		flag, ours := strings.CutPrefix(name, "ETCD_BACKUP_")
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
			keys = append(keys, f.Names()[0])
		}
	}
	return keys
}

// applyFile sets the flags that neither the command line nor the environment has set from the file that --config names. Unknown keys are
// errors, unlike in the library's own reader: a backup that runs with half its settings is worse than one that does not start.
func applyFile(c *cli.Context, known []string) error {
	path := c.String("config")
	if path == "" {
		return nil
	}
	settings, err := readFile(path)
	if err != nil {
		return err
	}
	var seen []string
	for pair := range slices.Chunk(settings, 2) {
		key, value := pair[0], pair[1]
		where := fmt.Sprintf("%s line %d", path, key.Line)
		switch {
		case slices.Contains(seen, key.Value):
			return Usagef("%s: %q is given twice", where, key.Value)
		case key.Value == "name": // it would still set the flag of restore in a file that was written for save
			return Usagef("%s: \"name\" set the label of save and the member of restore: write \"label\" for save, and use restore --name on the command line", where)
		case !slices.Contains(known, key.Value):
			return Usagef("%s: unknown key %q: keys are flag names without the leading hyphens", where, key.Value)
		}
		seen = append(seen, key.Value)
		i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == key.Value })
		if i < 0 {
			continue
		}
		flag := c.Command.Flags[i]
		if c.IsSet(key.Value) && !setToNothing(c, flag) {
			continue
		}
		text, err := plainValue(value, flag)
		if err != nil {
			return Usagef("%s: %s: %w", where, key.Value, err)
		}
		if err := c.Set(key.Value, text); err != nil {
			return Usagef("%s: %s: %w", where, key.Value, notAccepted(flag, text, err))
		}
	}
	return nil
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

// readFile returns keys and values in turn.
func readFile(path string) ([]*yaml.Node, error) {
	if path == os.DevNull { // the usual way to say: none
		return nil, nil
	}
	text, err := keyfile.Read(path)
	if err != nil {
		return nil, Usagef("read --config: %w", err)
	}
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err = decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch root := doc.Content; {
	case err == nil:
		return nil, Usagef("%s line %d: a second document begins here: put all keys into one", path, second.Line)
	case !errors.Is(err, io.EOF):
		if quote := unquoted(path, string(text)); quote != nil {
			return nil, quote
		}
		return nil, Usagef("read --config: %s: %w", path, err)
	case root[0].Kind != yaml.MappingNode:
		return nil, Usagef("%s line %d: expected lines of the form KEY: VALUE", path, root[0].Line)
	default:
		return root[0].Content, nil
	}
}

// unquoted returns an error for the first value of a broken file that needs quotes, because its first character means something else in YAML,
// such as those of schedules. YAML's own error says so in its own words, and often with another line.
func unquoted(path, text string) error {
	entry := regexp.MustCompile("^\\s*(- |[\\w-]+:\\s)\\s*([@`*&!%][^#]*)")
	for i, line := range strings.Split(text, "\n") {
		m := entry.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		quoted := `"` + strings.TrimSpace(m[2]) + `"`
		if strings.ContainsAny(m[2], `"\`) {
			quoted = "'" + strings.TrimSpace(m[2]) + "'"
		}
		return Usagef("%s line %d: %c has a special meaning in YAML: put the value in quotes: %s %s", path, i+1, m[2][0], strings.TrimSpace(m[1]), quoted)
	}
	return nil
}

// plainValue is a value as the command line would write it; a list, if the flag takes several values, becomes one with
// commas. A key without a value is an error and not an empty value, which would switch off a default.
func plainValue(n *yaml.Node, f cli.Flag) (string, error) {
	_, several := f.(*cli.StringSliceFlag)
	switch {
	case n.Tag == "!!null":
		return "", errors.New("the value is missing: set one or remove the line")
	case n.Kind == yaml.ScalarNode && !strings.HasPrefix(n.Tag, "!!"): // the rest of the text may be part of the tag
		return "", errors.New("! has a special meaning in YAML: put the value in quotes")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode && several:
		var items []string
		if err := n.Decode(&items); err != nil {
			return "", errors.New("expected a list with one value per line")
		}
		return strings.Join(items, ","), nil
	default:
		return "", errors.New("expected one value, not a list and not further keys")
	}
}
