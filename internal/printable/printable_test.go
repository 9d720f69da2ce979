package printable_test

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"etcd-rolling-backup/internal/printable"
)

func TestTextEscapesWhatATerminalObeys(t *testing.T) {
	for in, want := range map[string]string{
		"node-a, 120 MiB — größer": "node-a, 120 MiB — größer",
		"日本":                       "日本",
		"\x1b]0;title\x07\x1b[2J":  `\x1b]0;title\x07\x1b[2J`,
		"a\nb\r\tc":                `a\x0ab\x0d\x09c`,
		"\u009b31m":                `\u009b31m`,
		"abc\u202egnp.exe":         `abc\u202egnp.exe`,
		"\xff\xfe":                 `\xff\xfe`,
		"a\u200bb\ufeff":           `a\u200bb\ufeff`,
		"":                         "",
	} {
		if got := printable.Text(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestWriterKeepsLinesAndTabs(t *testing.T) {
	var b strings.Builder
	n, err := printable.Writer(&b).Write([]byte("a\tb\n\x1b[1mc\n"))
	if n != 10 || err != nil || b.String() != "a\tb\n\\x1b[1mc\n" {
		t.Errorf("%d, %v, %q", n, err, b.String())
	}
}

func TestTextIsAlwaysPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		for _, r := range printable.Text(in) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q has %q", printable.Text(in), r)
			}
		}
	})
}
