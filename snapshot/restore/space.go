package restore

import (
	"errors"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// ErrNoSpace marks a restore that does not fit on the disk.
var ErrNoSpace = errors.New("not enough free space")

// noSpaceError is an ErrNoSpace, and a snapshot.ErrLowSpace as all of them.
type noSpaceError struct{ text string }

func (e noSpaceError) Error() string   { return ErrNoSpace.Error() + ": " + e.text }
func (e noSpaceError) Unwrap() []error { return []error{ErrNoSpace, snapshot.ErrLowSpace} }

// walSize is the initial size of etcd's write-ahead log: one segment, and the next one, which etcd prepares in advance (etcd,
// server/storage/wal: SegmentSizeBytes).
const walSize = 2 * 64 << 20

// checkSpace checks for need bytes (below zero: unknown) next to the data directory, and for a WAL where it goes.
func (p *Plan) checkSpace(need int64) error {
	need = max(need, 0)
	if p.LogDir != "" {
		var data, wal unix.Stat_t
		if err := errors.Join(unix.Stat(p.data.parent(), &data), unix.Stat(p.wal.parent(), &wal)); err != nil {
			return fmt.Errorf("read free space: %w", err)
		}
		if data.Dev != wal.Dev {
			return errors.Join(room(dataFlag, p.data.parent(), need), room(walFlag, p.wal.parent(), walSize))
		}
	}
	return Room(p.data.parent(), need)
}

// Room checks that so many bytes, and then etcd's log, fit on the disk of a directory. The error is an ErrNoSpace that says what to do.
func Room(dir string, size int64) error {
	return room(dataFlag, dir, min(max(size, 0), snapshot.Unlimited-walSize)+walSize)
}

// times multiplies a size, which is a stranger's, without overflow.
func times(size, n int64) int64 { return min(size, snapshot.Unlimited/max(n, 1)) * n }

// guardInterval is how many bytes are unpacked between two checks of the free space.
const guardInterval = 4 << 20

// guard checks while a snapshot is unpacked what is checked again at its end: that the rest of the restore, other copies of the database and
// etcd's log, has room. What a file says of its size may be a lie, or nothing.
type guard struct {
	p             *Plan
	w             io.Writer
	copies        int64
	written, next int64
}

// guarded returns a writer of the scratch file.
func (p *Plan) guarded(copies int64) io.Writer {
	return &guard{p: p, w: snapshot.NewDir(p.data.parent()).KeepFree(p.scratch, 0), copies: copies} // KeepFree explains a full disk
}

// Write implements io.Writer.
func (g *guard) Write(b []byte) (int, error) {
	if g.written >= g.next {
		if err := g.p.checkSpace(times(g.written, g.copies-1)); err != nil {
			return 0, err
		}
		g.next = g.written + guardInterval
	}
	n, err := g.w.Write(b)
	g.written += int64(n)
	return n, err
}

// minInodes is more than the files and directories of a restored member.
const minInodes = 16

func room(flag, dir string, need int64) error {
	free, err := snapshot.NewDir(dir).Space()
	switch {
	case err != nil:
		return err
	case free.Bytes < need:
		return noSpaceError{fmt.Sprintf("%s has %s and the restore needs %s: free some space there, or set %s to a directory on another disk",
			dir, humanize.IBytes(uint64(free.Bytes)), humanize.IBytes(uint64(need)), flag)} //nolint:gosec // neither is negative
	case free.Inodes > 0 && free.Inodes < minInodes: // 0 may mean unknown; creating a file shows it
		return noSpaceError{fmt.Sprintf("%s has %d inodes left, as `df -i %s` shows, and the restore needs %d: remove files there, or set %s to a directory on another disk",
			dir, free.Inodes, dir, minInodes, flag)}
	}
	return nil
}

// copies returns how many copies of the database are in dir at the same time: one if the file system shares the blocks of a copy,
// as Btrfs and XFS do, otherwise two, or three if a file without a name can't be opened again.
func copies(dir string) int64 {
	a, errA := snapshot.NewDir(dir).Scratch()
	b, errB := snapshot.NewDir(dir).Scratch()
	defer func() { _ = errors.Join(a.Close(), b.Close()) }() // one that is nil too
	if errA != nil || errB != nil {
		return 2
	}
	if !reopens(a) {
		return 3
	}
	if _, err := a.Write(make([]byte, 4096)); err != nil || unix.IoctlFileClone(int(b.Fd()), int(a.Fd())) != nil {
		return 2
	}
	return 1
}
