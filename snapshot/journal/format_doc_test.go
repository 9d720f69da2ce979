package journal_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
