package snapshot_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// blocks returns docs/FORMAT.md and its code blocks after comments that begin with this text.
func blocks(t *testing.T, comment string) (doc string, code []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "FORMAT.md"))
	must(t, err)
	for _, m := range regexp.MustCompile("(?s)<!-- "+comment+".*? -->\n```[a-z]*\n(.*?)```\n").FindAllStringSubmatch(string(b), -1) {
		code = append(code, m[1])
	}
	if len(code) == 0 {
		t.Fatalf("docs/FORMAT.md has no block that is %s", comment)
	}
	return string(b), code
}

// The page's commands accept the golden file, and refuse it with any one byte of its end changed.
func TestFormatCommands(t *testing.T) {
	doc, code := blocks(t, "run by TestFormatCommands")
	if all := strings.Count(doc, "```sh\n"); all != len(code) {
		t.Errorf("%d of %d command blocks are run", len(code), all)
	}
	etcdutl, err := etcdtest.Program("3.6", "etcdutl")
	must(t, err)
	run := func(packed []byte, blocks ...string) ([]byte, error) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, goldenName), packed, 0o600))
		cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.Join(blocks, "\n"))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(etcdutl)+":"+os.Getenv("PATH"))
		return cmd.CombinedOutput()
	}
	out, err := run(golden(t), code...)
	if err != nil || !bytes.Contains(out, []byte(fmt.Sprintf("%x", goldenDatabase.Hash))) {
		t.Errorf("%v: the commands say\n%s", err, out)
	}
	// Without etcdutl's block, which is slow and reads only snap.db.
	checks := append([]string{code[0]}, code[2:]...)
	size := len(golden(t))
	for _, at := range []int{10, size - 720, size - 715, size - 100, size - 52, size - 45, size - 44, size - 20, size - 1} {
		packed := golden(t)
		packed[at] ^= 1
		if out, err := run(packed, checks...); err == nil {
			t.Errorf("byte %d of %d is altered: the commands say\n%s", at, size, out)
		}
	}
}

// The page's bytes are those of the golden file; only the middle of the manifest is missing.
func TestFormatHex(t *testing.T) {
	_, code := blocks(t, "compared by TestFormatHex")
	b := golden(t)
	_, data, err := snapshot.DecodeTail(b, int64(len(b)))
	must(t, err)
	next, manifestEnd := int(data), len(b)-52
	for line := range strings.Lines(code[0]) {
		m := regexp.MustCompile(`^([0-9a-f]{8}) ((?: [0-9a-f]{2})+)(?: |\n)`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q has no bytes", line)
		}
		var at int
		_, err := fmt.Sscanf(m[1], "%x", &at)
		must(t, err)
		want, err := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		must(t, err)
		if at != next && (next <= int(data)+8 || at >= manifestEnd) {
			t.Errorf("after %08x comes %08x", next, at)
		}
		if got := b[at : at+len(want)]; !bytes.Equal(got, want) {
			t.Errorf("at %08x there is % x, not % x", at, got, want)
		}
		next = at + len(want)
	}
	if next != len(b) {
		t.Errorf("the example ends at %08x, the file at %08x", next, len(b))
	}
}

func TestFormatManifest(t *testing.T) {
	doc, code := blocks(t, "compared by TestFormatManifest")
	var compact bytes.Buffer
	must(t, json.Compact(&compact, []byte(code[0])))
	if !bytes.Contains(golden(t), compact.Bytes()) {
		t.Errorf("the golden file has not the page's manifest\n%s", code[0])
	}
	doc, _, _ = strings.Cut(doc, "## The journal") // has another manifest
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9_.\\[\\]]+)` \\|").FindAllStringSubmatch(doc, -1)
	var got []string
	for _, row := range rows {
		got = append(got, row[1])
	}
	if want := fieldsOf(reflect.TypeFor[snapshot.Manifest](), ""); !reflect.DeepEqual(got, want) {
		t.Errorf("the page describes the fields\n%q, a manifest has\n%q", got, want)
	}
}

// fieldsOf lists the JSON names of a type's fields, with those of embedded and listed objects.
func fieldsOf(t reflect.Type, prefix string) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			continue
		}
		names = append(names, prefix+name)
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			names = append(names, fieldsOf(f.Type.Elem(), prefix+name+"[].")...)
		}
	}
	return names
}
