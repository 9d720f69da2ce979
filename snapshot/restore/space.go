package restore

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// ErrNoSpace marks a restore that does not fit on the disk.
var ErrNoSpace = errors.New("not enough free space")

// walSize is what etcd's write-ahead log takes at first: one segment, and the next one that is prepared meanwhile
// (etcd, server/storage/wal: SegmentSizeBytes).
const walSize = 2 * 64 << 20

// checkSpace asks for copies of the database of size bytes (-1: not known) and of a WAL in dir.
func checkSpace(dir string, size int64, copies int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("read free space of %s: %w", dir, err)
	}
	free := int64(s.Bavail) * s.Bsize //nolint:gosec // a file system of 8 EiB is not in sight
	if need := max(size, 0)*copies + walSize; free < need {
		return fmt.Errorf("%w: %s has %s and the restore takes %s: make room there, or give --data-dir on another disk",
			ErrNoSpace, dir, humanize.IBytes(uint64(free)), humanize.IBytes(uint64(need))) //nolint:gosec // neither is negative
	}
	return nil
}

// copies is how often the database lies in dir at the same time: once where the file system shares the blocks of a
// copy, as Btrfs and XFS do, else twice.
func copies(dir string) int64 {
	a, err := snapshot.NewDir(dir).Scratch()
	if err != nil {
		return 2
	}
	defer a.Close()
	b, err := snapshot.NewDir(dir).Scratch()
	if err != nil {
		return 2
	}
	defer b.Close()
	if _, err := a.Write(make([]byte, 4096)); err != nil || unix.IoctlFileClone(int(b.Fd()), int(a.Fd())) != nil {
		return 2
	}
	return 1
}
