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

// walSize is the initial size of etcd's write-ahead log: one segment, and the next one, which etcd prepares in advance (etcd,
// server/storage/wal: SegmentSizeBytes).
const walSize = 2 * 64 << 20

// checkSpace checks for need bytes (below zero: unknown) next to the data directory, and for a WAL where it goes.
func (p *Plan) checkSpace(need int64) error {
	need = max(need, 0)
	if p.WALDir == "" {
		return room(dataFlag, p.data.parent(), need+walSize)
	}
	var data, wal unix.Stat_t
	if err := errors.Join(unix.Stat(p.data.parent(), &data), unix.Stat(p.wal.parent(), &wal)); err != nil {
		return fmt.Errorf("read free space: %w", err)
	}
	if data.Dev == wal.Dev {
		return room(dataFlag, p.data.parent(), need+walSize)
	}
	return errors.Join(room(dataFlag, p.data.parent(), need), room(walFlag, p.wal.parent(), walSize))
}

func room(flag, dir string, need int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("read free space of %s: %w", dir, err)
	}
	if free := int64(s.Bavail) * s.Bsize; free < need { //nolint:gosec // a file system of 8 EiB is not in sight
		return fmt.Errorf("%w: %s has %s and the restore needs %s: free some space there, or set %s to a directory on another disk",
			ErrNoSpace, dir, humanize.IBytes(uint64(free)), humanize.IBytes(uint64(need)), flag) //nolint:gosec // neither is negative
	}
	return nil
}

// copies returns how many copies of the database are in dir at the same time: one if the file system shares the blocks of a copy,
// as Btrfs and XFS do, otherwise two.
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
