package journal_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot/journal"
)

// The reader in docs/FORMAT.md prints what a segment has, complete or not, and nothing behind the last checkpoint.
func TestJournalReaderInPython(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "FORMAT.md"))
	must(t, err)
	code := regexp.MustCompile("(?s)<!-- run by TestJournalReaderInPython.*? -->\n```python\n(.*?)```").FindSubmatch(doc)
	if code == nil || strings.Count(string(code[1]), "\n") > 60 {
		t.Fatal("docs/FORMAT.md has no reader of at most 60 lines")
	}
	complete, _ := write(t, header(7), 9, true)
	part, _ := write(t, header(7), 9, false)
	for name, c := range map[string]struct {
		file []byte
		last int64
	}{"complete": {complete, 9}, "part": {part, 9}, "torn": {part[:len(part)-1], 8}} {
		path := filepath.Join(t.TempDir(), "segment")
		must(t, os.WriteFile(path, c.file, 0o600))
		out, err := exec.CommandContext(t.Context(), "python3", "-c", string(code[1]), path).CombinedOutput()
		must(t, err)
		want := ""
		for r := int64(7); r <= c.last; r++ {
			want += fmt.Sprintf("2026-11-22T12:00:%02dZ %d put b'key-%d' %d\n2026-11-22T12:00:%02dZ %d delete b'gone' 0\n",
				r, r, r, len(fmt.Sprintf("value-%d", r*r)), r, r)
		}
		if string(out) != want {
			t.Errorf("%s: it prints\n%swant\n%s", name, out, want)
		}
	}
}

// The table of docs/FORMAT.md has the fields of a manifest, and no others.
func TestJournalManifestIsDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "FORMAT.md"))
	must(t, err)
	_, text, _ := strings.Cut(string(doc), "## The journal")
	text, _, _ = strings.Cut(text, "\n## ")
	_, text, _ = strings.Cut(text, "| field | type | meaning |")
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z0-9_`, ]+) \\|").FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			got = append(got, strings.Trim(name, "`"))
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[journal.Manifest]()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.Anonymous {
			want = append(want, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the page describes the fields\n%q, a manifest has\n%q", got, want)
	}
}
