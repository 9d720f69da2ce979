package rketools_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"etcd-rolling-backup/internal/rketools"
)

const stateName = "c-abcde-rl-x7k2p_2026-11-28T10:00:00+02:00"

// privateKey is what must be in no error.
const privateKey = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAr0JzYlV0aGlzaXNub3RhcmVhbGtleWF0YWxsYnV0bG9uZw\n-----END RSA PRIVATE KEY-----"

// withStateFile returns paths in an empty directory, and the one of the state file.
func withStateFile(t *testing.T) (p rketools.Paths, path string) {
	t.Helper()
	p = rketools.Paths{Root: t.TempDir()}
	path, err := p.StateFile(stateName)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	return p, path
}

func TestStateFileIsReadAsItIs(t *testing.T) {
	for _, text := range []string{`{"desiredState":{}}`, "{\n    \"desiredState\": {}\n}\n"} {
		p, path := withStateFile(t)
		if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
		if got := p.ReadStateFile(stateName); string(got.Data) != text || got.Err != nil || !got.Included() {
			t.Errorf("%q became %q, %v", text, got.Data, got.Err)
		}
	}
}

func TestStateFileThatIsNotJSONIsIncludedWithAWarning(t *testing.T) {
	for _, text := range []string{privateKey, `{"key":"` + privateKey + `"`, "null", `"text"`, "[1]", "{} {}"} {
		p, path := withStateFile(t)
		if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
		got := p.ReadStateFile(stateName)
		if string(got.Data) != text || !got.Included() {
			t.Errorf("%q became %q", text, got.Data)
		}
		if got.Err == nil || !strings.Contains(got.Err.Error(), path) || !strings.Contains(got.Err.Error(), "not a JSON object") {
			t.Errorf("%q: %v", text, got.Err)
		}
		wantNoKey(t, got.Err)
	}
}

func wantNoKey(t *testing.T, err error) {
	t.Helper()
	for _, part := range []string{"RSA", "MIIE", "BAAKCAQEA"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func TestStateFileThatCannotBeReadIsAbsent(t *testing.T) {
	for situation, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"none":      {func(string) error { return nil }, "no such file"},
		"empty":     {func(path string) error { return os.WriteFile(path, nil, 0o400) }, "is empty"},
		"directory": {func(path string) error { return os.Mkdir(path, 0o700) }, "is not a file"},
		"pipe":      {func(path string) error { return unix.Mkfifo(path, 0o600) }, "is not a file"},
		"link": {func(path string) error {
			return errors.Join(os.WriteFile(path+".other", []byte("{}"), 0o600), os.Symlink(path+".other", path))
		}, "is a symbolic link"},
		"too long": {func(path string) error {
			return os.WriteFile(path, append(bytes.Repeat([]byte(" "), 16<<20), "{}"...), 0o600)
		}, "is larger than 16 MiB"},
	} {
		t.Run(situation, func(t *testing.T) {
			p, path := withStateFile(t)
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			got := p.ReadStateFile(stateName)
			if got.Included() || got.Err == nil || !strings.Contains(got.Err.Error(), c.want) {
				t.Errorf("%q, %v; want an error with %q", got.Data, got.Err, c.want)
			}
			if missing := situation == "none"; errors.Is(got.Err, fs.ErrNotExist) != missing {
				t.Errorf("%v is fs.ErrNotExist: %t", got.Err, !missing)
			}
		})
	}
}

func TestStateFileOfANameWithADirectoryIsRefused(t *testing.T) {
	p, path := withStateFile(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "..", "evil.rkestate"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", ".", "..", "../evil", "a/b", "/etc/passwd", "a\x00/../b"} {
		if got := p.ReadStateFile(bad); got.Included() || got.Err == nil {
			t.Errorf("%q: %q, %v", bad, got.Data, got.Err)
		}
	}
}

func TestPathsAreThoseOfRKE(t *testing.T) {
	for root, want := range map[string]string{"": "", "/x/y": "/x/y"} {
		p := rketools.Paths{Root: root}
		state, err := p.StateFile("a:b")
		if err != nil || state != want+"/etc/kubernetes/a:b.rkestate" || p.Backup() != want+"/backup" || p.ExtractedState() != want+"/tmp/cluster.rkestate" {
			t.Errorf("root %q: %s, %s, %s, %v", root, p.Backup(), state, p.ExtractedState(), err)
		}
	}
}

// TestIndentedSizeIsNeverTooLow compares with encoding/json.
func TestIndentedSizeIsNeverTooLow(t *testing.T) {
	value := rapid.Deferred(func() *rapid.Generator[any] { return nested(4) })
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(value.Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := json.Indent(&out, text, "", "  "); err != nil {
			t.Fatal(err)
		}
		if got := rketools.IndentedSize(text); got < out.Len() {
			t.Errorf("%d bytes for %s, which needs %d", got, text, out.Len())
		}
	})
}

func nested(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.String().AsAny(), rapid.Int().AsAny(), rapid.SampledFrom([]any{nil, true, `\`, `"[`, `\"{,`}))
	if depth == 0 {
		return leaf
	}
	inner := nested(depth - 1)
	return rapid.OneOf(leaf, rapid.SliceOfN(inner, 0, 4).AsAny(), rapid.MapOfN(rapid.String(), inner, 0, 4).AsAny())
}
