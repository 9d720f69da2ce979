package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens a regular file of the directory for reading, whatever it contains. A missing one wraps ErrNotFound.
func (d *Dir) Open(base string) (*os.File, error) {
	if err := checkBase(base); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, base)
	f, err := openFile(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	return f, err
}

// checkBase accepts the name of one file, but no path and no hidden file, such as the directory's lock.
func checkBase(base string) error {
	if base != filepath.Base(base) || strings.HasPrefix(base, ".") || strings.ContainsRune(base, 0) {
		return fmt.Errorf("%w: %q is not a file name", ErrName, base)
	}
	return nil
}

// Replacement is a new file that takes the place of the file base in its directory, which stays until Commit. Until then the new file
// has no name if the file system can do that, so a killed process leaves nothing of it.
type Replacement struct {
	File *os.File // to write and verify; Commit and Close close it

	dir   *Dir
	base  string
	named bool // it has its partial name
}

// Replace begins a replacement, 0600. Close removes it unless Commit succeeded.
func (d *Dir) Replace(base string) (*Replacement, error) {
	if err := checkBase(base); err != nil {
		return nil, err
	}
	r := &Replacement{dir: d, base: base}
	var err error
	if r.File, err = os.OpenFile(d.path, unix.O_TMPFILE|os.O_RDWR, 0o600); err != nil { // as in Scratch: NFS, for example
		err = r.create()
	}
	if err != nil {
		return nil, d.explainSpace(fmt.Errorf("create %s: %w", r.path(), err))
	}
	_ = tryLock(r.File) // shows that its writer runs; where there are no locks, nobody can see that
	return r, nil
}

// create makes the file under its partial name.
func (r *Replacement) create() error {
	if _, err := removeAbandoned(r.partial()); err != nil {
		return err
	}
	f, err := os.OpenFile(r.partial(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w is writing %s: wait until it exits, or stop it", ErrInUse, r.partial())
	}
	if err == nil {
		r.File, r.named = f, true
	}
	return err
}

// Receive writes size bytes that come from elsewhere, and keeps minFree bytes of the disk free.
func (r *Replacement) Receive(ctx context.Context, from io.Reader, size, minFree int64) error {
	guard := &spaceGuard{dir: r.dir, w: r.File, minFree: minFree}
	err := guard.expect(size)
	if err == nil {
		err = copyExactly(ctx, guard, from, size, nil)
	}
	if err != nil {
		return fmt.Errorf("receive %s: %w", r.base, err)
	}
	return nil
}

// Commit writes the file to the disk and then gives it its name, in one step. After an error the earlier file is still there.
func (r *Replacement) Commit() error {
	if err := syncFile(r.File); err != nil {
		return r.dir.explainSpace(fmt.Errorf("sync %s: %w", r.path(), err))
	}
	if err := r.publish(); err != nil {
		return r.dir.explainSpace(fmt.Errorf("replace %s: %w", r.path(), err))
	}
	return errors.Join(r.dir.sync(), r.Close())
}

func (r *Replacement) publish() error {
	if !r.named && r.link() != nil {
		if err := r.copy(); err != nil {
			return err
		}
	}
	if err := r.File.Close(); err != nil { // network file systems may report a full disk only now, and some rename no open file
		return err
	}
	if err := os.Rename(r.partial(), r.path()); err != nil {
		return err
	}
	r.named = false
	return nil
}

// link gives an anonymous file its partial name, because only a rename replaces a file.
func (r *Replacement) link() error {
	if _, err := removeAbandoned(r.partial()); err != nil {
		return err
	}
	self := fmt.Sprintf("/proc/self/fd/%d", r.File.Fd())
	err := unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, r.partial(), unix.AT_SYMLINK_FOLLOW)
	r.named = err == nil
	return err
}

// copy is link for file systems that create anonymous files and cannot name them, and for a process without /proc.
func (r *Replacement) copy() error {
	anonymous := r.File
	defer anonymous.Close()
	if err := r.create(); err != nil {
		return err
	}
	if _, err := io.Copy(r.File, io.NewSectionReader(anonymous, 0, math.MaxInt64)); err != nil {
		return err
	}
	return syncFile(r.File)
}

// Close removes the file if it has not replaced another.
func (r *Replacement) Close() error {
	var err error
	if r.named {
		err = os.Remove(r.partial())
		r.named = false
	}
	if closed := r.File.Close(); !errors.Is(closed, os.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}

func (r *Replacement) path() string { return filepath.Join(r.dir.path, r.base) }

func (r *Replacement) partial() string { return filepath.Join(r.dir.path, "."+r.base+partSuffix) }
