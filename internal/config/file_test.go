package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever stands in a file, reading it ends, and what is wrong is the user's and told in one line. The single
// mistakes are in testdata/config_file.txtar.
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
