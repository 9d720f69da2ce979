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
	if p.WALDir != "" {
		var data, wal unix.Stat_t
		if err := errors.Join(unix.Stat(p.data.parent(), &data), unix.Stat(p.wal.parent(), &wal)); err != nil {
			return fmt.Errorf("read free space: %w", err)
		}
		if data.Dev != wal.Dev {
			return errors.Join(room(dataFlag, p.data.parent(), need), room(walFlag, p.wal.parent(), walSize))
		}
	}
	return room(dataFlag, p.data.parent(), need+walSize)
}

func room(flag, dir string, need int64) error {
	free, err := snapshot.NewDir(dir).Free()
	if err == nil && free < need {
		return fmt.Errorf("%w: %s has %s and the restore needs %s: free some space there, or set %s to a directory on another disk",
			ErrNoSpace, dir, humanize.IBytes(uint64(free)), humanize.IBytes(uint64(need)), flag) //nolint:gosec // neither is negative
	}
	return err
}

// copies returns how many copies of the database are in dir at the same time: one if the file system shares the blocks of a copy,
// as Btrfs and XFS do, otherwise two.
func copies(dir string) int64 {
	a, errA := snapshot.NewDir(dir).Scratch()
	defer a.Close()
	b, errB := snapshot.NewDir(dir).Scratch()
	defer b.Close()
	if errA != nil || errB != nil {
		return 2
	}
	if _, err := a.Write(make([]byte, 4096)); err != nil || unix.IoctlFileClone(int(b.Fd()), int(a.Fd())) != nil {
		return 2
	}
	return 1
}
