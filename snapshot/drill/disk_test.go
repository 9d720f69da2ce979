package drill_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// onTmpfs moves the drills to a small disk of their own.
func (b *bench) onTmpfs(t *testing.T, bytes int64) (disk string) {
	t.Helper()
	disk = t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		t.Fatalf("mount a tmpfs: %v: run this test as root, or under unshare -rm", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(disk, 0)) })
	b.dir = filepath.Join(disk, "drills")
	must(t, os.Mkdir(b.dir, 0o700))
	b.Scratch = snapshot.NewDir(b.dir)
	return disk
}

// fill leaves nothing of a disk.
func fill(t *testing.T, disk string) {
	t.Helper()
	free, err := snapshot.NewDir(disk).Free()
	must(t, err)
	f, err := os.Create(filepath.Join(disk, "full"))
	must(t, err)
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, free))
	must(t, f.Close())
}

// If others fill the disk during a drill, the snapshot is not to blame, and the error says so.
func TestFullDiskDuringDrillIsNotDamage(t *testing.T) {
	archive := small(t)
	for _, c := range []struct {
		at      drill.Stage
		minFree int64
		want    error
	}{
		{drill.StageUnpack, 1, snapshot.ErrLowSpace},
		{drill.StageUnpack, 0, unix.ENOSPC},
		{drill.StageRestore, 0, unix.ENOSPC},
		{drill.StageBoot, 0, unix.ENOSPC},
	} {
		var err error
		for try := 0; try < 5 && err == nil; try++ { // the drill may have written all before the disk is full
			b := newBench(t, archive)
			disk := b.onTmpfs(t, 256<<20)
			b.MinFree = c.minFree
			b.at(t, func(int) { fill(t, disk) }, c.at)
			_, err = b.start(t)
		}
		if !errors.Is(err, c.want) || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: got %v, want %v", c.at, err, c.want)
		}
	}
}

// Leftovers of a dead drill are removed before the next one checks the free space. Leftovers that cannot be removed are reported
// if space is low.
func TestLeftoversAreRemovedBeforeTheSpaceCheck(t *testing.T) {
	b := newBench(t, small(t))
	disk := b.onTmpfs(t, 256<<20)
	left := filepath.Join(b.dir, snapshot.ScratchPrefix+"1")
	must(t, os.Mkdir(left, 0o700))
	fill(t, disk)
	must(t, os.Rename(filepath.Join(disk, "full"), filepath.Join(left, "snapshot.db")))
	r, err := b.start(t)
	if err != nil || r.Keys != 20 {
		t.Errorf("%+v, %v", r, err)
	}

	must(t, os.MkdirAll(filepath.Join(left, "mount"), 0o700)) // which can't be removed
	must(t, unix.Mount("tmpfs", filepath.Join(left, "mount"), "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(filepath.Join(left, "mount"), 0)) })
	b.dir = t.TempDir() // b.start wants it empty
	b.MinFree = math.MaxInt64 / 2
	_, err = b.start(t)
	wantError(t, err, drill.ErrSkipped, "--min-free keeps")
	wantError(t, err, drill.ErrSkipped, "remove scratch directory: unlinkat "+left)
	b.MinFree = 0
	if _, err := b.start(t); err != nil {
		t.Errorf("with room beside them: %v", err)
	}
}

// A link in a directory that another user has created is not followed, and neither is one in the place of a directory.
func TestLeftoversOfAStranger(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(target, "file"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(dir, snapshot.ScratchPrefix+"1"), 0o700))
	must(t, os.Symlink(target, filepath.Join(dir, snapshot.ScratchPrefix+"1", "lock")))
	must(t, os.Symlink(target, filepath.Join(dir, snapshot.ScratchPrefix+"2")))
	removed, err := drill.RemoveLeftovers(snapshot.NewDir(dir))
	must(t, err)
	if len(removed) != 1 || removed[0] != snapshot.ScratchPrefix+"1" {
		t.Errorf("removed %v", removed)
	}
	if _, err := os.Stat(filepath.Join(target, "file")); err != nil {
		t.Errorf("what the link led to: %v", err)
	}
}
