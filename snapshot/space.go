package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// ErrLowSpace marks what was not done, or aborted, to keep disk space free, or because the disk or a quota is full.
var ErrLowSpace = errors.New("free space too low")

// spaceInterval is the largest number of bytes written between two checks of the free space, which other processes use too.
const spaceInterval = 4 << 20

// Unlimited is the free space of a file system that reports no limit, or more than a program can count.
const Unlimited = math.MaxInt64

// Space is what the file system of a directory has left for this user.
type Space struct {
	Bytes  int64 // Unlimited: it reports no size
	Inodes int64 // how many files can still be created; Unlimited: it does not count them
}

// Space asks the file system. Some can't answer, which is no error: writing shows the truth there.
func (d *Dir) Space() (Space, error) {
	var s unix.Statfs_t
	err := unix.Statfs(d.path, &s)
	if Unsupported(err) {
		return Space{Bytes: Unlimited, Inodes: Unlimited}, nil
	}
	if err != nil {
		return Space{}, fmt.Errorf("read free space: %w", &fs.PathError{Op: "statfs", Path: d.path, Err: err})
	}
	return spaceOf(s), nil
}

// Free returns the number of bytes that can still be written to the directory's file system.
func (d *Dir) Free() (int64, error) {
	s, err := d.Space()
	return s.Bytes, err
}

// largestShare is the most that FreeShare returns: the default of --min-free.
const largestShare = 1 << 30

// FreeShare returns how many bytes to keep free in the place of a program that kept none, such as rke-tools: an eighth of what is free
// now, at most 1 GiB. rke-tools needed room for the database and its zip, which is never the larger one, so what fitted with it fits.
func (d *Dir) FreeShare() (int64, error) {
	free, err := d.Free()
	return min(free/8, largestShare), err
}

// spaceOf reads the answer of statfs. Blocks are counted in units of f_frsize; f_bsize, which virtiofs and others set to something
// else, is only the best size for a transfer. A total of 0 means that the file system does not know: a tmpfs without limit, or a
// FUSE file system that does not answer. (Many count no inodes: Btrfs, vfat, CIFS.)
func spaceOf(s unix.Statfs_t) Space {
	unit := s.Frsize
	if unit <= 0 { // kernels and file systems that do not set it
		unit = s.Bsize
	}
	free := Space{Bytes: Unlimited, Inodes: Unlimited}
	if s.Blocks > 0 {
		free.Bytes = saturated(s.Bavail, uint64(max(unit, 0)))
	}
	if s.Files > 0 {
		free.Inodes = saturated(s.Ffree, 1)
	}
	return free
}

// saturated multiplies. A product that does not fit is Unlimited: s3fs reports 16 EiB, and a quota without limit 2^64-1 blocks.
func saturated(a, b uint64) int64 {
	high, low := bits.Mul64(a, b)
	if high > 0 || low > math.MaxInt64 {
		return Unlimited
	}
	return int64(low)
}

// noSpaceError is ENOSPC or EDQUOT, which do not say what is used up, with that and the remedy.
type noSpaceError struct {
	err  error
	hint string
}

func (e *noSpaceError) Error() string   { return e.err.Error() + " (" + e.hint + ")" }
func (e *noSpaceError) Unwrap() []error { return []error{e.err, ErrLowSpace} }

// explainSpace adds to an error of a full disk what is used up, and makes it an ErrLowSpace. Call it before anything is removed.
func (d *Dir) explainSpace(err error) error {
	full, quota := errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT)
	if !full && !quota || errors.Is(err, ErrLowSpace) {
		return err
	}
	hint := "the disk is full: free some space, or keep fewer snapshots"
	switch s, failed := d.Space(); {
	case quota:
		hint = "the disk quota of this user, group or project is used up: raise it, or remove files, such as old snapshots"
	case failed != nil:
	case s.Inodes == 0:
		hint = fmt.Sprintf("no inodes are left on this file system, as `df -i %s` shows: remove files, such as old snapshots, or use another disk", d.path)
	case s.Bytes > spaceInterval:
		hint = fmt.Sprintf("%s has %s free, so a project quota or the file system's metadata is full: raise the quota, or remove files, such as old snapshots",
			d.path, humanize.IBytes(uint64(s.Bytes)))
	}
	return &noSpaceError{err: err, hint: hint}
}

// spaceGuard stops writing before the disk has less than minFree bytes free.
type spaceGuard struct {
	dir     *Dir
	w       io.Writer
	minFree int64
	written int64
	next    int64 // next check of the free space when this many bytes are written
}

// KeepFree returns a writer that passes on to w, a file in the directory's file system, as long as minFree bytes stay free there. Then
// its error wraps ErrLowSpace.
func (d *Dir) KeepFree(w io.Writer, minFree int64) io.Writer {
	return &spaceGuard{dir: d, w: w, minFree: minFree}
}

// check reports an error if n more bytes do not fit.
func (g *spaceGuard) check(n int64) error {
	free, err := g.dir.Free()
	if err != nil {
		return err
	}
	if g.minFree > 0 && free-n < g.minFree {
		return fmt.Errorf("%w: %s free in %s, --min-free keeps %s: free some space, keep fewer snapshots, or lower --min-free", ErrLowSpace,
			humanize.IBytes(uint64(max(free, 0))), g.dir.path, humanize.IBytes(uint64(g.minFree)))
	}
	g.next = g.written + min(spaceInterval, free-g.minFree)
	return nil
}

// expect is check for the announced size of all that will be written, before the first byte.
func (g *spaceGuard) expect(size int64) error {
	if err := g.check(max(size, 0)); err != nil {
		return fmt.Errorf("write %s: %w", humanize.IBytes(uint64(max(size, 0))), err)
	}
	return nil
}

// Write implements io.Writer.
func (g *spaceGuard) Write(p []byte) (int, error) {
	if n := int64(len(p)); g.written+n > g.next {
		if err := g.check(n); err != nil {
			return 0, err
		}
	}
	n, err := g.w.Write(p)
	g.written += int64(n)
	return n, g.dir.explainSpace(err)
}
