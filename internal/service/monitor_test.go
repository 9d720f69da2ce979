package service

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// seen looks and returns what it sees.
func seen(h *home) []status.Problem {
	h.look()
	for h.busy.Load() {
		runtime.Gosched()
	}
	return h.problems()
}

// A directory whose disk is mounted over or unmounted is reported until it is back.
func TestOtherDirectoryIsReportedUntilTheFirstIsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o700))
	p := newHome(snapshot.NewDir(dir), config.Store{Node: "n1"})
	want := func(when string, told bool) {
		t.Helper()
		if got := seen(p); len(got) > 0 != told {
			t.Errorf("%s: %+v", when, got)
		}
	}
	want("at the start", false)
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	want("with another file", false)
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	want("mounted over", true)
	must(t, unix.Unmount(dir, 0))
	want("unmounted", false)
	must(t, os.Rename(dir, dir+"2"))
	want("gone, which others tell", false)
	must(t, os.Mkdir(dir, 0o700))
	want("another", true)
}

// A second daemon with the same directory and node name, as of a container that was started twice, is reported by both until one stops.
func TestSecondDaemonInTheDirectoryIsReportedByBothUntilOneStops(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	first := newHome(dir, config.Store{Node: "n1"})
	defer first.leave()
	want := func(when string, h *home, shared bool) {
		t.Helper()
		got := seen(h)
		if (len(got) == 1 && got[0].Code == status.CodeOtherDaemon) != shared || len(got) > 1 {
			t.Errorf("%s: %+v", when, got)
		}
	}
	want("alone", first, false)
	other := newHome(dir, config.Store{Node: "n2"})
	defer other.leave()
	want("with a daemon of another node", first, false)
	second := newHome(dir, config.Store{Node: "n1"})
	want("the first of two", first, true)
	want("the second of two", second, true)
	second.leave()
	want("alone again", first, false)
}
