package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/fusetest"
	"etcd-rolling-backup/snapshot"
)

// With and without files that have no name, the earlier file stays until the new one is complete, and then there is one file, 0600.
func TestReplacementLeavesTheEarlierFileUntilCommit(t *testing.T) {
	for what, path := range map[string]string{
		"this disk":    t.TempDir(),
		"no O_TMPFILE": fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.EINVAL, fusetest.Tmpfile)}),
	} {
		d := snapshot.NewDir(path)
		file := filepath.Join(path, "snap1")
		must(t, os.WriteFile(file, []byte("earlier"), 0o644))
		for _, commit := range []bool{false, true} {
			r, err := d.Replace("snap1")
			must(t, err)
			must(t, r.Receive(t.Context(), strings.NewReader("later"), 5, 0))
			want := "earlier"
			if got, _ := os.ReadFile(file); string(got) != want {
				t.Errorf("%s: before: %q", what, got)
			}
			if commit {
				must(t, r.Commit())
				want = "later"
			}
			must(t, r.Close())
			must(t, r.Close())
			got, err := os.ReadFile(file)
			info, _ := os.Stat(file)
			if err != nil || string(got) != want || commit && info.Mode() != 0o600 {
				t.Errorf("%s: commit %t: %q %v %v", what, commit, got, info.Mode(), err)
			}
			if left := in(t, snapshot.NewDir(path)); len(left) != 1 {
				t.Errorf("%s: commit %t: left are %q", what, commit, left)
			}
		}
	}
}

// Whatever fails, the earlier file stays, and nothing of the new one.
func TestReplacementThatFailsChangesNothing(t *testing.T) {
	for what, c := range map[string]struct {
		fail []fusetest.Op
		size int64
		free int64
	}{
		"sync":           {[]fusetest.Op{fusetest.Fsync}, 5, 0},
		"rename":         {[]fusetest.Op{fusetest.Rename}, 5, 0},
		"write":          {[]fusetest.Op{fusetest.Write}, 5, 0},
		"full disk":      {nil, 5, 1 << 60},
		"too few bytes":  {nil, 6, 0},
		"too many bytes": {nil, 4, 0},
	} {
		for _, tmpfile := range []bool{true, false} {
			ops := c.fail
			if !tmpfile {
				ops = append(ops, fusetest.Tmpfile)
			}
			path := fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.EPERM, ops...)})
			file := filepath.Join(path, "snap1")
			if what == "write" {
				must(t, os.WriteFile(file, nil, 0o600))
			} else {
				must(t, os.WriteFile(file, []byte("earlier"), 0o600))
			}
			r, err := snapshot.NewDir(path).Replace("snap1")
			must(t, err)
			err = r.Receive(t.Context(), strings.NewReader("later"), c.size, c.free)
			if err == nil {
				err = r.Commit()
			}
			if err == nil {
				t.Errorf("%s: no error", what)
			}
			must(t, r.Close())
			if got, _ := os.ReadFile(file); what != "write" && string(got) != "earlier" {
				t.Errorf("%s: left is %q", what, got)
			}
			if left := in(t, snapshot.NewDir(path)); len(left) != 1 {
				t.Errorf("%s, O_TMPFILE %t: left are %q", what, tmpfile, left)
			}
		}
	}
}

// What a killed process left under the partial name is in nobody's way; what a running one writes is not touched.
func TestReplacementAfterAKilledOne(t *testing.T) {
	for _, tmpfile := range []bool{true, false} {
		var o fusetest.Options
		if !tmpfile {
			o.Fail = fusetest.Always(unix.EINVAL, fusetest.Tmpfile)
		}
		path := fusetest.Mount(t, o)
		d := snapshot.NewDir(path)
		must(t, os.WriteFile(filepath.Join(path, ".snap1.part"), bytes.Repeat([]byte("x"), 100), 0o600))
		r, err := d.Replace("snap1")
		must(t, err)
		if !tmpfile {
			if other, err := d.Replace("snap1"); !errors.Is(err, snapshot.ErrInUse) {
				t.Errorf("a second writer of the same file: %v, %v", other, err)
			}
		}
		_, err = r.File.WriteString("later")
		must(t, err)
		must(t, r.Commit())
		if got, err := os.ReadFile(filepath.Join(path, "snap1")); err != nil || string(got) != "later" || len(in(t, snapshot.NewDir(path))) != 1 {
			t.Errorf("%q %v, left are %q", got, err, in(t, snapshot.NewDir(path)))
		}
	}
}

// Only plain names of files in the directory are opened or replaced, and nothing is followed.
func TestOnlyFilesOfTheDirectoryAreOpenedAndReplaced(t *testing.T) {
	path, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("outside"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(path, "link")))
	must(t, unix.Mkfifo(filepath.Join(path, "pipe"), 0o600))
	must(t, os.Mkdir(filepath.Join(path, "sub"), 0o700))
	d := snapshot.NewDir(path)
	for _, base := range []string{"", ".", "..", "../outside", "sub/x", "/etc/passwd", ".lock", "a\x00b"} {
		if _, err := d.Open(base); !errors.Is(err, snapshot.ErrName) {
			t.Errorf("open %q: %v", base, err)
		}
		if _, err := d.Replace(base); !errors.Is(err, snapshot.ErrName) {
			t.Errorf("replace %q: %v", base, err)
		}
	}
	for _, base := range []string{"link", "pipe", "sub"} {
		if f, err := d.Open(base); err == nil {
			t.Errorf("opened %s", f.Name())
		}
	}
	if _, err := d.Open("missing"); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	r, err := d.Replace("link")
	must(t, err)
	must(t, r.Commit())
	if got, _ := os.ReadFile(outside); string(got) != "outside" {
		t.Errorf("a link was followed: %q", got)
	}
	f, err := d.Open("link") // now the file itself
	must(t, err)
	if got, err := io.ReadAll(f); err != nil || len(got) > 0 {
		t.Errorf("%q %v", got, err)
	}
	must(t, f.Close())
	r, err = d.Replace("sub")
	must(t, err)
	if r.Commit() == nil {
		t.Error("a directory was replaced")
	}
	must(t, r.Close())
}
