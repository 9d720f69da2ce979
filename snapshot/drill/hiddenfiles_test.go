package drill_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// hiding mounts a file system that, like NFS, renames a file that is removed while it is open, until it is closed. So its directory
// can't be removed before. The test also fails if a file stays open when it ends. The file system learns a moment later that a process has
// ended.
func hiding(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("bindfs", t.TempDir(), dir).CombinedOutput(); err != nil {
		t.Fatalf("bindfs: %v: %s", err, out)
	}
	t.Cleanup(func() {
		defer unix.Unmount(dir, unix.MNT_DETACH) //nolint:errcheck // only if it could not be unmounted
		eventually(t, "no file is open", func() bool { return !errors.Is(unix.Unmount(dir, 0), unix.EBUSY) })
	})
	f, err := os.Create(filepath.Join(dir, "file"))
	must(t, err)
	must(t, os.Remove(f.Name()))
	if l, err := filepath.Glob(filepath.Join(dir, ".fuse_hidden*")); err != nil || len(l) != 1 {
		t.Fatalf("a removed file that is open is %v (%v)", l, err)
	}
	must(t, f.Close())
	eventually(t, "the closed file is gone", func() bool {
		l, err := os.ReadDir(dir)
		return err == nil && len(l) == 0
	})
	return dir
}

// Where removed files stay until they are closed, a drill passes and leaves nothing, and so does one whose process was killed.
func TestDrillLeavesNothingWhereOpenFilesCannotBeRemoved(t *testing.T) {
	archive := small(t)
	dir := hiding(t)
	b := newBench(t, archive)
	b.dir, b.Scratch = dir, snapshot.NewDir(dir)
	r, err := b.start(t)
	if err != nil || r.Keys != 20 || len(r.Warnings) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, stage := range []drill.Stage{drill.StageRestore, drill.StageBoot, drill.StageCompare} {
		b.at(t, func(pid int) { must(t, unix.Kill(pid, unix.SIGKILL)) }, stage)
		_, err = b.start(t)
		wantError(t, err, drill.ErrMemory, "was killed")
	}
}

// What a child can't remove there after its parent was killed, the next drill removes.
func TestDeadDrillIsRemovedWhereOpenFilesCannotBeRemoved(t *testing.T) {
	archive := small(t)
	dir := hiding(t)
	pid := orphan(t, archive, dir)
	must(t, unix.Kill(pid, unix.SIGCONT))
	// The lock and the files of a process that has ended are released a moment later, one after the other.
	eventually(t, "the child ended, and what it left is removed", func() bool {
		_, failed := drill.RemoveLeftovers(snapshot.NewDir(dir))
		left, err := os.ReadDir(dir)
		must(t, err)
		return command(pid) == "" && failed == nil && len(left) == 0
	})
}

// A directory that can't be removed is a warning: the drill has passed. The next one removes it.
func TestDrillPassesWhenItsDirectoryCannotBeRemoved(t *testing.T) {
	b := newBench(t, small(t))
	b.dir = t.TempDir() // b.start wants it empty
	var at string
	b.at(t, func(int) {
		l, err := filepath.Glob(filepath.Join(b.Scratch.Path(), snapshot.ScratchPrefix+"*"))
		must(t, err)
		at = filepath.Join(l[0], "mount")
		must(t, os.Mkdir(at, 0o700))
		must(t, unix.Mount("tmpfs", at, "tmpfs", 0, ""))
	}, drill.StageCompare)
	r, err := b.start(t)
	must(t, err)
	if r.Keys != 20 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], filepath.Dir(at)) {
		t.Errorf("%+v, want a warning with the path %s", r, filepath.Dir(at))
	}
	must(t, unix.Unmount(at, 0))
	b.Command, b.Progress = child(asChild), nil
	r, err = b.start(t)
	must(t, err)
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %v", r.Warnings)
	}
	wantEmpty(t, b.Scratch.Path())
}
