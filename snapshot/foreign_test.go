package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// nobody is a user without rights.
const nobody = 65534

// asNobody runs do with the rights of a user who may create files in dir, like everybody in /tmp.
func asNobody(t *testing.T, dir string, do func()) {
	t.Helper()
	must(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)) // made by testing, for this test
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chmod(dir, fs.ModeSticky|0o777))
	if lock := filepath.Join(dir, ".lock"); exists(lock) {
		must(t, os.Chmod(lock, 0o666))
	}
	runtime.LockOSThread() // the kernel gives these rights only to this thread
	defer runtime.UnlockOSThread()
	before, err := unix.SetfsuidRetUid(nobody)
	must(t, err)
	defer func() { must(t, unix.Setfsuid(before)) }()
	do()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func receive(t *testing.T, d *snapshot.Dir) error {
	t.Helper()
	whole := golden(t)
	_, err := d.Receive(t.Context(), nameA(), nameA().String(), bytes.NewReader(whole), int64(len(whole)), 0, nil)
	return err
}

// filesIn returns all names in a directory.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, f := range files {
		all = append(all, f.Name())
	}
	return all
}

// A foreign directory contains only the archive afterwards, whatever others left there before.
func TestForeignDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "foreign")
	d := snapshot.Foreign(dir)
	must(t, d.Prepare())
	must(t, receive(t, d))
	if got := filesIn(t, dir); !slices.Equal(got, []string{nameA().String()}) {
		t.Errorf("left are %q", got)
	}
	for what, make := range map[string]func(lock string) error{
		"a lock of another user": func(lock string) error { return os.WriteFile(lock, nil, 0o600) },
		"a pipe":                 func(lock string) error { return unix.Mkfifo(lock, 0o666) },
		"a link":                 func(lock string) error { return os.Symlink("nowhere", lock) },
	} {
		dir := filepath.Join(t.TempDir(), "foreign")
		must(t, os.Mkdir(dir, 0o700))
		d := snapshot.Foreign(dir)
		asNobody(t, dir, func() {
			must(t, make(filepath.Join(dir, ".lock")))
			if err := receive(t, d); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
		if got := filesIn(t, dir); !slices.Equal(got, []string{".lock", nameA().String()}) {
			t.Errorf("%s: left are %q", what, got)
		}
	}
}

// Receive waits for a process that is changing names in the directory: with a store's own lock, or another Receive.
func TestForeignDirIsLocked(t *testing.T) {
	store := newDir(t)
	bare := t.TempDir()
	for _, lock := range []string{filepath.Join(store.Path(), ".lock"), bare} {
		dir := bare
		if lock != bare {
			dir = store.Path()
		}
		f, err := os.Open(lock)
		must(t, err)
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
		d, whole := snapshot.Foreign(dir), golden(t)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err = d.Receive(ctx, nameA(), nameA().String(), bytes.NewReader(whole), int64(len(whole)), 0, nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want that the time is over", lock, err)
		}
		must(t, f.Close())
		must(t, receive(t, d))
	}
}
