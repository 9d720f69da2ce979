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
		if c.IsSet(key.Value) || !slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == key.Value }) {
			continue
		}
		text, err := scalar(value)
		if err != nil {
			return usagef("%s: %s: %w", where, key.Value, err)
		}
		if err := c.Set(key.Value, text); err != nil {
			return usagef("%s: %s: %w", where, key.Value, err)
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
	var doc yaml.Node
	err = yaml.NewDecoder(f).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, usagef("read --config: %s: %w", path, err)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, usagef("read --config: %s line %d: not a list of KEY: VALUE", path, root.Line)
	}
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

// scalar is a value as the command line would write it; a list becomes one with commas.
func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("a list of plain values is wanted")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	default:
		return "", errors.New("a plain value is wanted")
	}
}
