package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// probePrefix begins the names of the files of a Probe. RemovePartials removes those that a crash left.
	probePrefix = ".check-"
	// probeSize is how many bytes a Probe writes: a file system may store less inside the inode, and report a full disk only later.
	probeSize = 64 << 10
)

// Abilities are what a file system may lack without preventing snapshots.
type Abilities struct {
	Sync bool // it can sync files and directories; without, a power loss may damage what was written last
	Map  bool // it can map files into memory; without, nothing can be verified or drilled there
}

// Probe tries in the directory all that a daemon does there, with the same code: it prepares the directory, locks, creates and writes
// an archive file, syncs and renames it, replaces a file as for the status, creates a scratch file, and removes. It leaves nothing but
// what Prepare creates. An error names the step that failed.
func (d *Dir) Probe(ctx context.Context) (a Abilities, err error) {
	if err := d.Prepare(); err != nil {
		return a, err
	}
	base := probePrefix + strconv.FormatUint(rand.Uint64(), 10)
	defer func() { err = errors.Join(d.hint(err), d.RemoveNote(base)) }() // also what a failed step left
	if a.Sync, err = d.probeArchive(ctx, base); err != nil {
		return a, err
	}
	if err := d.KeepNote(base, probePrefix); err != nil { //nolint:contextcheck // as for the status, which is saved after the shutdown too
		return a, err
	}
	if a.Map, err = d.probeScratch(); err != nil {
		return a, err
	}
	return a, d.remove(ctx, filepath.Join(d.path, base))
}

// probeArchive is what [Take] does in the directory.
func (d *Dir) probeArchive(ctx context.Context, base string) (syncs bool, err error) {
	p := &Part{dir: d, base: base}
	if err := d.locked(ctx, p.begin); err != nil {
		return false, err
	}
	guard := &spaceGuard{dir: d, w: p}
	if _, err := guard.Write(make([]byte, probeSize)); err != nil {
		return false, errors.Join(fmt.Errorf("write snapshot: %w", err), p.Abort())
	}
	syncs = !Unsupported(p.file.Sync()) && d.syncs()
	return syncs, p.Commit(ctx)
}

// syncs reports whether the file system can sync directories. Errors of a sync are those of Commit.
func (d *Dir) syncs() bool {
	f, err := os.OpenFile(d.path, unix.O_DIRECTORY, 0)
	if err != nil {
		return true
	}
	defer f.Close()
	return !Unsupported(f.Sync())
}

// probeScratch is what a verification or a drill does in the directory.
func (d *Dir) probeScratch() (maps bool, err error) {
	f, err := d.Scratch()
	if err != nil {
		return false, err
	}
	_, err = (&spaceGuard{dir: d, w: f}).Write(make([]byte, probeSize))
	if data, failed := unix.Mmap(int(f.Fd()), 0, probeSize, unix.PROT_READ, unix.MAP_SHARED); failed == nil {
		maps, err = true, errors.Join(err, unix.Munmap(data))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return maps, fmt.Errorf("write scratch file: %w", err)
	}
	return maps, nil
}

// hint adds a remedy to an error that shows what the file system can't do. The others have one, or may pass.
func (d *Dir) hint(err error) error {
	if err == nil || passing(err) || errors.Is(err, ErrLowSpace) || errors.Is(err, ErrInUse) || errors.Is(err, ErrUnusableDir) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w (each snapshot needs this step: use a directory on another file system, or change the options of its mount)", err)
}
