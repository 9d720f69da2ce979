package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// mountedReadOnly is a directory on a tmpfs that refuses writes: this mount of it alone, or the file system itself.
func mountedReadOnly(t *testing.T, flags uintptr) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(dir, 0o700))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	must(t, os.Mkdir(dir+"/backup", 0o700))
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY|flags, ""))
	return dir
}

// What helps depends on what is read-only, the mount or the file system, and on where the program runs. This test needs root, as CI is.
func TestReadOnlyDirectoryHasTheRemedyOfItsSurroundings(t *testing.T) {
	mount, disk := mountedReadOnly(t, unix.MS_BIND), mountedReadOnly(t, 0)
	for _, c := range []struct {
		dir  string
		at   surroundings
		want string
	}{
		{mount, onHost, mount + " is mounted read-only: mount -o remount,rw " + mount},
		{mount, inUnit, "ReadWritePaths="},
		{mount, inContainer, "mount a writable volume there: without :ro or readOnly, and with a read-only root file system (--read-only, readOnlyRootFilesystem)"},
		{disk, onHost, "the file system of " + disk + " is read-only: `dmesg` says"},
		{disk, inUnit, "then: mount -o remount,rw " + disk},
		{disk, inContainer, "then: mount -o remount,rw " + disk},
	} {
		mounts, err := procfs.GetMounts()
		must(t, err)
		for _, path := range []string{"/backup/x", "/backup/not/there/x"} {
			_, err := os.Create(c.dir + path)
			if strings.HasSuffix(path, "there/x") {
				err = &os.PathError{Op: "mkdir", Path: c.dir + path, Err: syscall.EROFS}
			}
			got := readOnlyHintAt(fmt.Errorf("take: %w", err), mounts, c.at)
			if !errors.Is(err, syscall.EROFS) || !strings.Contains(got, c.want) || strings.Contains(got, "ReadWritePaths") != (c.want == "ReadWritePaths=") {
				t.Errorf("%s at %d: %q, want %q", path, c.at, got, c.want)
			}
		}
	}
}

// Where it can't be seen, one line has all remedies.
func TestReadOnlyWithoutAPathHasAllRemedies(t *testing.T) {
	for name, err := range map[string]error{
		"no path": syscall.EROFS, "relative": &os.PathError{Op: "openat", Path: "x", Err: syscall.EROFS}, "writable by now": &os.PathError{Op: "open", Path: t.TempDir(), Err: syscall.EROFS},
	} {
		got := ErrorLine(fmt.Errorf("take: %w", err))
		for _, want := range []string{"dmesg", "remount,rw", "ReadWritePaths=", ":ro", "readOnlyRootFilesystem", "--read-only"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q lacks %q", name, got, want)
			}
		}
		if strings.Contains(got, "\n") {
			t.Errorf("%s: several lines: %q", name, got)
		}
	}
}

// The status and /readyz show the text of a run's error, so the remedy is in it, once.
func TestRunsErrorHasItsRemedyOnce(t *testing.T) {
	plain := fmt.Errorf("create: %w", &os.PathError{Op: "open", Path: mountedReadOnly(t, 0) + "/x", Err: syscall.EROFS})
	err := withRemedy(plain)
	for _, text := range []string{err.Error(), ErrorLine(err), ErrorLine(fmt.Errorf("take: %w", err))} {
		if strings.Count(text, "dmesg") != 1 {
			t.Errorf("%q", text)
		}
	}
	if !errors.Is(err, syscall.EROFS) || withRemedy(nil) != nil {
		t.Errorf("%v has lost its class", err)
	}
}
