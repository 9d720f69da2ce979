package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// knownKeys are the flags of all commands: one file serves them all.
func knownKeys(commands []*cli.Command) []string {
	var keys []string
	for _, c := range commands {
		for _, f := range c.Flags {
			keys = append(keys, f.Names()[0])
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// applyFile sets the command's flags that neither the command line nor the environment has set from the file
// that --config names. The library's own reader passes over keys that it doesn't know; a backup that runs with half
// its settings is worse than one that does not start, so here they are errors.
func applyFile(c *cli.Context, known []string) error {
	path := c.String("config")
	if path == "" {
		return nil
	}
	settings, err := readFile(path)
	if err != nil {
		return err
	}
	for i := 0; i < len(settings); i += 2 {
		key, value := settings[i], settings[i+1]
		where := fmt.Sprintf("%s line %d", path, key.Line)
		if !slices.Contains(known, key.Value) {
			return usagef("%s: unknown key %q: keys are the flags' names without the hyphens before them", where, key.Value)
		}
		i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == key.Value })
		if i < 0 || c.IsSet(key.Value) {
			continue
		}
		flag := c.Command.Flags[i]
		text, err := plainValue(value, flag)
		if err != nil {
			return usagef("%s: %s: %w", where, key.Value, err)
		}
		if err := c.Set(key.Value, text); err != nil {
			return usagef("%s: %s: %w", where, key.Value, misfit(flag, text, err))
		}
	}
	return nil
}

// readFile gives keys and values in turn.
func readFile(path string) ([]*yaml.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("read --config: %w", err)
	}
	defer f.Close()
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(f)
	err = decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch root := doc.Content; {
	case err == nil:
		return nil, usagef("%s line %d: a second document begins there: put all keys into one", path, second.Line)
	case !errors.Is(err, io.EOF):
		return nil, usagef("read --config: %s: %w", path, err)
	case root[0].Kind != yaml.MappingNode:
		return nil, usagef("%s line %d: lines of the form KEY: VALUE are wanted", path, root[0].Line)
	default:
		return pairs(path, root[0])
	}
}

func pairs(path string, root *yaml.Node) ([]*yaml.Node, error) {
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		if k := root.Content[i]; seen[k.Value] {
			return nil, usagef("%s line %d: %q stands there twice", path, k.Line, k.Value)
		} else {
			seen[k.Value] = true
		}
	}
	return root.Content, nil
}

// plainValue is a value as the command line would write it; a list, where the flag takes several, becomes one with
// commas. A key without a value is not taken for an empty one, which would turn off what stands there by default.
func plainValue(n *yaml.Node, f cli.Flag) (string, error) {
	_, several := f.(*cli.StringSliceFlag)
	switch {
	case n.Tag == "!!null":
		return "", errors.New("the value is missing: give one or take the line out")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode && several:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("a list with one value a line is wanted")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	default:
		return "", errors.New("one value is wanted, no list and no keys below")
	}
}
