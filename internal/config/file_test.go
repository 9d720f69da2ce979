package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is in a file, reading it terminates, and what is wrong is wrong usage in one line. testdata/config_file.txtar of
// internal/command has the individual mistakes.
func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{
		"", "# x\n", "---\n", "...\n", "null", "dir: d\n", "dir: d\n---\n", "- a\n", "{a: b, a: c}", "? [a]\n: b\n", "a: &x b\nc: *x\n",
		"*x", "a: *a\n", "<<: {a: b}\n", "%YAML 1.2\n---\na: b\n", "a: !!binary x\n", "\t", "\x00", "\xff\xfe", "a: |\n  b\n", "'", "&a [*a]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		nodes, err := readFile(path)
		if err == nil {
			if len(nodes)%2 != 0 {
				t.Errorf("%d nodes are no pairs", len(nodes))
			}
			return
		}
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), path) || strings.Contains(OneLine(err.Error()), "\n") {
			t.Errorf("not one line of wrong usage that names the file: %v", err)
		}
	})
}

func TestErrorsOfTheLibraryAreTranslated(t *testing.T) {
	for text, want := range map[string]string{
		"flag provided but not defined: -x-y":                     "unknown flag --x-y",
		"flag needs an argument: -dir":                            "--dir needs a value",
		`invalid value "1.5" for flag -keep-last: parse error`:    `--keep-last: "1.5" is not a whole number`,
		`invalid boolean value "maybe" for -dry-run: parse error`: `--dry-run: "maybe" is not true or false`,
		"something that is not in the table":                      "something that is not in the table",
	} {
		if got := translate(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
