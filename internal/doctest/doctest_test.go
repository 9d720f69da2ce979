package doctest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// block is one fenced block of shell with the mark before it.
type block struct {
	line       int
	mark, text string
}

// blocks reads a Markdown file.
func blocks(t *testing.T, path string) []block {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	before, inside := "", false
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case inside && line == "```":
			inside = false
		case inside:
			out[len(out)-1].text += line + "\n"
		case line == "```sh" || line == "```bash" || line == "```console" || line == "```shell":
			inside = true
			mark := strings.TrimSuffix(strings.TrimPrefix(before, "<!-- "), " -->")
			if mark == before {
				mark = ""
			}
			out = append(out, block{line: i + 1, mark: mark})
		}
		before = line
	}
	return out
}

// documents are all Markdown files of the repository, relative to root.
func documents(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return slices.DeleteFunc(out, func(p string) bool { return strings.Contains(p, "/testdata/") })
}

func TestCommandsOfTheDocuments(t *testing.T) {
	p := newPlace(t)
	plain := etcdtest.Run(t, etcdtest.Options{})
	secure := etcdtest.Run(t, etcdtest.Options{TLS: true})
	put(t, plain)
	ran := 0
	for _, path := range documents(t, p.repo) {
		rel, err := filepath.Rel(p.repo, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(t, path) {
			cluster := plain
			if strings.Contains(b.text, "--cacert") {
				cluster = secure
			}
			p.serve(cluster)
			endpoint := strings.TrimPrefix(strings.TrimPrefix(cluster.Endpoints()[0], "http://"), "https://")
			switch kind, why, _ := strings.Cut(b.mark, ": "); {
			case b.mark == "tested":
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				if out, err := p.command(ctx, b.text, endpoint).CombinedOutput(); err != nil {
					t.Errorf("%s:%d: %v\n%s\n%s", rel, b.line, err, b.text, out)
				}
				cancel()
				ran++
			case b.mark == "tested: until the first snapshot":
				p.untilSnapshot(t, b.text, endpoint)
				ran++
			case (kind == "tested elsewhere" || kind == "not tested" || strings.HasPrefix(kind, "run by Test")) && why != "":
			default:
				t.Errorf("%s:%d: the block has no mark that says what runs it: %q", rel, b.line, b.mark)
			}
		}
	}
	if ran == 0 {
		t.Error("no block was run")
	}
}

// put gives the snapshots something to hold.
func put(t *testing.T, c *etcdtest.Cluster) {
	t.Helper()
	for _, key := range []string{"/registry/a", "/registry/b"} {
		if _, err := etcdtest.Dial(t, c).Put(t.Context(), key, "value"); err != nil {
			t.Fatal(err)
		}
	}
}
