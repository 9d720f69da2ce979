package doctest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// blockLimit bounds a block that ends by itself.
const blockLimit = 3 * time.Minute

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
		// One page: its blocks build on each other, so the first that fails ends it, and its servers end with it.
		t.Run(rel, func(t *testing.T) {
			if err := os.WriteFile(p.root+config.DefaultFile, []byte(noSettings), 0o600); err != nil { // not those of the page before
				t.Fatal(err)
			}
			var said *string // by the last block that ran
			elsewhere := false
			blocks := readBlocks(t, path)
			for i, b := range blocks {
				p.serve(plain)
				if strings.Contains(b.text, "--cacert") {
					p.serve(secure)
				}
				if b.shell() {
					elsewhere = strings.HasPrefix(b.mark, "run by ")
				}
				switch {
				case b.mark == "output" && elsewhere: // compared there
				case b.shell() && strings.HasPrefix(b.mark, "tested") && !strings.HasPrefix(b.mark, "tested elsewhere: "):
					out := p.run(t, b, outputOf(blocks[i+1:]))
					said = &out
					ran++
				case b.mark == "output" && said != nil:
					p.compare(t, b, *said)
				case b.mark == "output":
					t.Errorf("line %d: no block that ran stands before this output", b.line)
				case b.shell() && !regexp.MustCompile(`^(tested elsewhere|not tested|run by Test\w+): .`).MatchString(b.mark):
					t.Errorf("line %d: the block has no mark that says what runs it: %q", b.line, b.mark)
				}
			}
		})
	}
	if ran == 0 {
		t.Error("no block was run")
	}
}

// run runs a block as its mark says and returns what it said. A daemon goes on until it has said all of the output that the document
// shows, if it shows one, for the order of its lines is not always the same.
func (p *place) run(t *testing.T, b block, output *block) string {
	t.Helper()
	_, how, _ := strings.Cut(b.mark, "tested: ")
	text, says := strings.CutPrefix(how, "until it says ")
	said := func(out string) bool { return output == nil || len(p.lacking(*output, out)) == 0 }
	switch {
	case b.mark == "tested" || how == "fails":
		ctx, cancel := context.WithTimeout(t.Context(), blockLimit)
		defer cancel()
		out, err := p.command(ctx, b.text).CombinedOutput()
		if ctx.Err() != nil || (err == nil) != (b.mark == "tested") {
			t.Fatalf("line %d: %v\n%s\n%s", b.line, err, b.text, out)
		}
		return string(out)
	case how == "in the background":
		started := p.start(t, b.text)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("line %d said\n%s", b.line, started.output(t))
			}
			started.stop(t)
		})
		return ""
	case how == "until the first snapshot":
		return p.daemon(t, b.text, func(out string) bool { return p.hasSnapshot(t) && said(out) })
	case says && text != "":
		return p.daemon(t, b.text, func(out string) bool { return strings.Contains(out, text) && said(out) })
	}
	t.Fatalf("line %d: %q is no mark", b.line, b.mark)
	return ""
}

// compare looks for each line of a block in what a command said.
func (p *place) compare(t *testing.T, b block, said string) {
	t.Helper()
	for _, line := range p.lacking(b, said) {
		t.Errorf("line %d: the document shows %q, the command says\n%s", b.line, line, said)
	}
}

// lacking are the lines of a block that stand nowhere in what a command said.
func (p *place) lacking(b block, said string) []string {
	said = oneSpaced(p.restore.Replace(said))
	var lines []string
	for line := range strings.Lines(oneSpaced(b.text)) {
		want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(line)), "…", ".*")
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(said) {
			lines = append(lines, line)
		}
	}
	return lines
}

// oneSpaced makes columns that are as wide as this machine's names comparable.
func oneSpaced(text string) string {
	return regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAllString(regexp.MustCompile(`[ \t]+`).ReplaceAllString(text, " "), "")
}

// The policy that the walk-through tells the reader to give is the one under which all other tests run.
func TestPolicyOfTheWalkThrough(t *testing.T) {
	for _, b := range readBlocks(t, filepath.Join("..", "..", "docs", "MINIO.md")) {
		m := regexp.MustCompile(`(?s)policy\.json <<'EOF'\n(.*?)\nEOF\n`).FindStringSubmatch(b.text)
		if m == nil {
			continue
		}
		var got, want any
		if err := json.Unmarshal([]byte(m[1]), &got); err != nil {
			t.Fatal(err)
		}
		text := s3test.MinimalPolicy("backups", "cluster-a/")
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the document has %s, the tests %s", m[1], text)
		}
		return
	}
	t.Error("there is no policy")
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
