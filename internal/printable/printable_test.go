package printable_test

import (
	"encoding/json"
	"maps"
	"os/exec"
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

// The word is what a shell makes of it again, and what is printed is plain text.
func TestCommandIsReadByAShellAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := strings.ReplaceAll(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))+rapid.String().Draw(t, "text"), "\x00", "")
		line := printable.Command("printf", "%s", word)
		if printable.Text(line) != line {
			t.Fatalf("%q", line)
		}
		out, err := exec.Command("bash", "-c", line).Output()
		if err != nil || string(out) != word {
			t.Fatalf("%s prints %q, %v, and the word is %q", line, out, err, word)
		}
	})
	for word, want := range map[string]string{
		"a": "a", "it's": `'it'\''s'`, "größer": "'größer'", "a\x1b'\\": `$'a\033\'\\'`, "x\u202ey": `$'x\342\200\256y'`, "a\nb": `$'a\012b'`, "\u009b31m": `$'\302\23331m'`,
	} {
		if got := printable.Command(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestJSONHasItsMeaningAndNoControlCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := map[string]string{rapid.String().Draw(t, "key"): rapid.String().Draw(t, "value") + "\u009b\u202e\U000e0001"}
		text, err := json.MarshalIndent(in, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		safe := printable.JSON(text)
		var out map[string]string
		if err := json.Unmarshal(safe, &out); err != nil || !maps.Equal(in, out) {
			t.Fatalf("%s: %q, %v", safe, out, err)
		}
		for _, r := range string(safe) {
			if !unicode.IsPrint(r) && r != '\n' {
				t.Fatalf("%s has %q", safe, r)
			}
		}
	})
	if got := string(printable.JSON([]byte(`"größer \u009b` + "\u009b\u202e\x7f\U000e0001\""))); got != `"größer \u009b\u009b\u202e\u007f\udb40\udc01"` {
		t.Errorf("%s", got)
	}
}

func TestAddressThatMayHaveASecretIsNotShown(t *testing.T) {
	for in, want := range map[string]bool{
		"127.0.0.1": true, "::::": true, "[::1]:80": true, "http://host_a:1/": true, "a b:1": true, "": true,
		"http://h:1/?token=S": false, "http://h:1/S%zz": false, "http://u:S@h:1": false, "h:1/S": false, "h#S": false, "h?S": false, "h\x1bS": false,
	} {
		if got := printable.Address(in); strings.HasPrefix(got, `"`) != want || !want && strings.Contains(got, "S") {
			t.Errorf("%q: %s", in, got)
		}
	}
}
