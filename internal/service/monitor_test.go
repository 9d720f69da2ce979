package service

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A directory whose disk is mounted over or unmounted is reported until it is back.
func TestOtherDirectoryIsReportedUntilTheFirstIsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o700))
	p := newSameDir(dir)
	want := func(when string, told bool) {
		t.Helper()
		p.look()
		for p.busy.Load() {
			runtime.Gosched()
		}
		if got := p.problems(); len(got) > 0 != told {
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
