package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

var (
	// ErrUnusableDir marks a directory that is missing, is none, or is not for this user: a wrong setting.
	ErrUnusableDir = errors.New("unusable directory")
	// ErrInUse marks what another process keeps from being done, such as a second daemon with the same directory.
	ErrInUse = errors.New("another process")
	// ErrNotFound marks a snapshot that is not there.
	ErrNotFound = errors.New("no such snapshot")
	// ErrExists marks a snapshot whose name is taken.
	ErrExists = errors.New("snapshot exists")
)

// lockName is the file whose lock serializes what changes names in the directory.
const lockName = ".lock"

// lockTimeout bounds the wait for another process; the lock is only ever held for a few system calls.
const lockTimeout = 10 * time.Second

// Dir is the local store: one directory, one file a snapshot, files 0600.
type Dir struct {
	path    string
	foreign bool
}

// NewDir names the directory; nothing is read or made yet.
func NewDir(path string) *Dir { return &Dir{path: filepath.Clean(path)} }

// Foreign names a directory that is somebody else's, as /tmp: archives can be received into it, and nothing but them is left.
func Foreign(path string) *Dir { return &Dir{path: filepath.Clean(path), foreign: true} }

// Path is where the directory lies.
func (d *Dir) Path() string { return d.path }

// Prepare makes the directory (0700) where it is missing and tells whether files can be made in it, by making the
// lock; in a foreign one it makes none. Errors wrap ErrUnusableDir, or are the disk's.
func (d *Dir) Prepare() error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return unusable(err)
	}
	if d.foreign {
		return d.Writable()
	}
	lock, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return unusable(err)
	}
	return errors.Join(lock.Close(), d.Writable())
}

// unusable leaves out what passes by itself or is the machine's trouble, and so is no wrong setting.
func unusable(err error) error {
	for _, passing := range []error{
		unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.ENOMEM,
		unix.EROFS, unix.EIO, unix.EUCLEAN, unix.ESTALE, unix.ETIMEDOUT, unix.ENOTCONN, // the last three: its server is away
	} {
		if errors.Is(err, passing) {
			return fmt.Errorf("directory of the snapshots: %w", err)
		}
	}
	return fmt.Errorf("%w: %w", ErrUnusableDir, err)
}

// Writable tells whether this process may make files in the directory, and leaves no trace. Errors are those of Prepare.
func (d *Dir) Writable() error {
	if err := unix.Access(d.path, unix.W_OK|unix.X_OK); err != nil {
		return unusable(fmt.Errorf("write %s: %w", d.path, err))
	}
	return nil
}

// File opens one archive's file for reading. A missing one wraps ErrNotFound.
func (d *Dir) File(n Name) (*os.File, error) {
	f, err := os.Open(d.file(n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, d.file(n))
	}
	return f, err
}

// Manifest reads one archive's manifest; errors are those of File and OpenArchive.
func (d *Dir) Manifest(n Name) (m Manifest, err error) {
	err = d.read(n, func(a *Archive) error {
		m = a.Manifest
		return nil
	})
	return m, err
}

// Prove reads one archive in full, as [Archive.Prove] does; errors are those of File and OpenArchive too.
func (d *Dir) Prove(ctx context.Context, n Name) error {
	return d.read(n, func(a *Archive) error { return a.Prove(ctx) })
}

// read opens an archive for as long as the function needs it.
func (d *Dir) read(n Name, use func(*Archive) error) error {
	f, err := d.File(n)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return useArchive(f, info.Size(), use)
}

func useArchive(f *os.File, size int64, use func(*Archive) error) error {
	a, err := OpenArchive(f, size)
	if err == nil {
		err = use(a)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// Remove deletes one snapshot for good. A missing one wraps ErrNotFound.
func (d *Dir) Remove(ctx context.Context, n Name) error { return d.remove(ctx, d.file(n)) }

func (d *Dir) remove(ctx context.Context, path string) error {
	return d.locked(ctx, func() error {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrNotFound, path)
		}
		if err != nil {
			return fmt.Errorf("remove snapshot: %w", err)
		}
		return d.sync()
	})
}

// Free is the number of bytes that may still be written to the directory's file system.
func (d *Dir) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(d.path, &s); err != nil {
		return 0, fmt.Errorf("read free space: %w", &fs.PathError{Op: "statfs", Path: d.path, Err: err})
	}
	return int64(s.Bavail) * s.Bsize, nil //nolint:gosec // a file system of 8 EiB is not in sight
}

func (d *Dir) file(n Name) string { return filepath.Join(d.path, n.String()) }

// sync makes names that were added or removed survive a power loss.
func (d *Dir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", d.path, err)
	}
	return nil
}

// locked runs change while no other process changes names here. One that keeps it waiting for too long is ErrInUse.
func (d *Dir) locked(ctx context.Context, change func() error) (err error) {
	wait, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock := d.lock()
	if _, err := lock.TryLockContext(wait, 20*time.Millisecond); err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // it is this wait's, not the caller's
			err = fmt.Errorf("%w has held it for %s: `fuser -v %s` says which: wait until it has ended, or end it", ErrInUse, lockTimeout, lock.Path())
		}
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return change()
}

// lock is the store's lock. In a foreign directory that is no store, or another user's, the directory itself is locked:
// that leaves nothing there.
func (d *Dir) lock() *flock.Flock {
	path := filepath.Join(d.path, lockName)
	switch {
	case !d.foreign:
		return flock.New(path, flock.SetPermissions(0o600))
	case readableFile(path):
		return flock.New(path, flock.SetFlag(os.O_RDONLY))
	}
	return flock.New(d.path, flock.SetFlag(os.O_RDONLY))
}

// readableFile opens nothing but a regular file, for a pipe would make it wait.
func readableFile(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	return err == nil && f.Close() == nil
}
