package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Again returns those of the flags that this command line has set, as words for a shell: another command with them works with the same
// places. Environment variables stay what they are, and what --config set is in its file.
func Again(c *cli.Context, flags []cli.Flag) (words []string) {
	if path := c.String("config"); path != "" && os.Getenv(envVars("config")[0]) != path {
		words = append(words, "--config", Quote(path))
	}
	for _, f := range flags {
		name := f.Names()[0]
		value := fmt.Sprint(c.Value(name))
		doc, _ := f.(cli.DocGenerationFlag)
		set := c.IsSet(name) && !slices.Contains(fileKeys(c), name) && doc != nil &&
			!slices.ContainsFunc(doc.GetEnvVars(), func(v string) bool { return os.Getenv(v) == value })
		switch {
		case !set:
		case value == "true" && !doc.TakesValue():
			words = append(words, "--"+name)
		default:
			words = append(words, "--"+name, Quote(value))
		}
	}
	return words
}

// Quote makes text one word of a shell.
func Quote(text string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:,=@%+", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// fileKeysName is where applyFile leaves the flags that it has set.
const fileKeysName = "set by --config"

func fileKeys(c *cli.Context) []string {
	keys, _ := c.App.Metadata[fileKeysName].([]string)
	return keys
}
