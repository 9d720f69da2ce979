package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"etcd-rolling-backup/snapshot/keyfile"
)

// readFile returns keys and values in turn.
func readFile(path string) ([]*yaml.Node, error) {
	if path == os.DevNull { // the usual way to say: none
		return nil, nil
	}
	text, err := keyfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, Usagef("read --config: %w: run the command as root or as the owner of the file; --config \"\" uses no file", err)
	case err != nil:
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
	root := doc.Content
	switch {
	case err == nil:
		return nil, Usagef("%s line %d: a second document begins here: put all keys into one", path, second.Line)
	case errors.Is(err, io.EOF) && root[0].Kind == yaml.MappingNode:
		return root[0].Content, nil
	}
	if form := assignment(path, string(text)); form != nil {
		return nil, form
	}
	if errors.Is(err, io.EOF) {
		return nil, Usagef("%s line %d: expected lines of the form KEY: VALUE", path, root[0].Line)
	}
	if quote := unquoted(path, string(text)); quote != nil {
		return nil, quote
	}
	if line := tabbed(string(text)); line > 0 {
		return nil, Usagef("%s line %d: a tab at the beginning of the line, which YAML does not allow: remove it", path, line)
	}
	return nil, Usagef("read --config: %s: %w: write one KEY: VALUE per line, without spaces before the key", path, err)
}

// tabbed returns the first line of a broken file that is indented with a tab; 0: none. YAML's own error often has no line.
func tabbed(text string) int {
	return 1 + slices.IndexFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " "), "\t") })
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

// assignment returns an error for the first line of the form VARIABLE=VALUE in a file that is not ours: settings of a systemd unit or a container have it.
func assignment(path, text string) error {
	entry := regexp.MustCompile(`^\s*(?:export\s+)?` + ownVariable + `([A-Z0-9_]+)=(.*)$`)
	for i, line := range strings.Split(text, "\n") {
		if m := entry.FindStringSubmatch(strings.TrimRight(line, "\r ")); m != nil {
			key := strings.ToLower(strings.ReplaceAll(m[1], "_", "-"))
			return Usagef("%s line %d: an environment variable has no effect here: write the key %s and its value: %s: VALUE", path, i+1, key, key)
		}
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
