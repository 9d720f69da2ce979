package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

var (
	// ErrUnusableDir marks a directory that is missing, is not a directory, or that this user may not use: a wrong setting.
	ErrUnusableDir = errors.New("unusable directory")
	// ErrInUse marks an action that another process prevents, such as a second daemon with the same directory.
	ErrInUse = errors.New("another process")
	// ErrNotFound marks a snapshot that does not exist.
	ErrNotFound = errors.New("no such snapshot")
	// ErrExists marks a snapshot whose name already exists.
	ErrExists = errors.New("snapshot exists")
)

// lockName is the file whose lock serializes changes of names in the directory.
const lockName = ".lock"

// lockTimeout limits the wait for another process. The lock is only held for a few system calls.
const lockTimeout = 10 * time.Second

// Dir is the local store: one directory, one file per snapshot, files 0600.
type Dir struct {
	path    string
	foreign bool
	exposed bool // it is used though other users can replace files in it
}

// NewDir returns the store in a directory. It reads and creates nothing yet.
func NewDir(path string) *Dir { return &Dir{path: filepath.Clean(path)} }

// Foreign returns a directory that belongs to somebody else, such as /tmp. Archives can be received into it, and nothing else is
// left there.
func Foreign(path string) *Dir { return &Dir{path: filepath.Clean(path), foreign: true} }

// Exposed returns the same directory for a program in whose place another one has used it though other users can replace files in it.
// What they put there is still not followed.
func (d *Dir) Exposed() *Dir {
	e := *d
	e.exposed = true
	return &e
}

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// Prepare creates the directory (0700) if it is missing, and checks that files can be created in it, by creating the lock file.
// It refuses a directory in which other users can replace files, by its mode, its owner or a link to it, unless it is Exposed. In a
// foreign directory it creates no lock file. Errors wrap
// ErrUnusableDir, or come from the disk.
func (d *Dir) Prepare() error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return d.explainSpace(unusable(err))
	}
	if d.foreign {
		return d.Writable()
	}
	if err := d.own(); err != nil && !d.exposed {
		return err
	}
	lock, err := openOwn(filepath.Join(d.path, lockName), os.O_CREATE|os.O_RDWR)
	if err != nil {
		return d.explainSpace(unusable(err))
	}
	return errors.Join(lock.Close(), d.Writable())
}

// unusable excludes errors that may pass or that the machine causes, because they are not wrong settings.
func unusable(err error) error {
	if passing(err) {
		return fmt.Errorf("snapshot directory: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrUnusableDir, err)
}

func passing(err error) bool {
	return slices.ContainsFunc([]error{
		unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.ENOMEM,
		unix.EROFS, unix.EIO, unix.EUCLEAN, unix.ESTALE, unix.ETIMEDOUT, unix.ENOTCONN, // the last three: the file server does not answer
	}, func(errno error) bool { return errors.Is(err, errno) })
}

// Writable checks that this process may create files in the directory. It leaves no trace. Errors are those of Prepare.
func (d *Dir) Writable() error {
	if err := unix.Access(d.path, unix.W_OK|unix.X_OK); err != nil {
		return unusable(&fs.PathError{Op: "write", Path: d.path, Err: err})
	}
	return nil
}

// File opens the file of one archive for reading. A missing one wraps ErrNotFound.
func (d *Dir) File(n Name) (*os.File, error) {
	f, err := openFile(d.file(n), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, d.file(n))
	}
	return f, err
}

// Manifest reads the manifest of one archive. Errors are those of File and OpenArchive; a file of another program is ErrNoManifest.
func (d *Dir) Manifest(n Name) (m Manifest, err error) {
	err = d.read(n, func(a *Archive) error {
		if m = a.Manifest; !a.HasManifest() {
			return ErrNoManifest
		}
		return nil
	})
	return m, err
}

// VerifyChecksum reads one archive in full, as [Archive.VerifyChecksum] does. Errors are also those of File and OpenNamed. progress
// may be nil.
func (d *Dir) VerifyChecksum(ctx context.Context, n Name, progress func(done, total int64)) error {
	return d.read(n, func(a *Archive) error { return a.verifyChecksum(ctx, progress) })
}

// read opens an archive while use runs.
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
	return useArchive(n, f, info.Size(), use)
}

func useArchive(n Name, f *os.File, size int64, use func(*Archive) error) error {
	a, err := OpenNamed(n, f, size)
	if err == nil {
		err = use(a)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// Remove deletes one snapshot permanently. A missing one wraps ErrNotFound.
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

func (d *Dir) file(n Name) string { return filepath.Join(d.path, n.String()) }

// sync makes added or removed names survive a power loss.
func (d *Dir) sync() error { return SyncDir(d.path) }

// locked runs change while no other process changes names here. A process that holds the lock for too long is ErrInUse.
func (d *Dir) locked(ctx context.Context, change func() error) (err error) {
	wait, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock := d.lock()
	if _, err := lock.TryLockContext(wait, 20*time.Millisecond); err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // this wait ended, not the caller's context
			err = fmt.Errorf("%w has held it for %s: `fuser -v %s` shows which: wait until it exits, or stop it", ErrInUse, lockTimeout, lock.Path())
		}
		return d.explainSpace(lockFailed(lock.Path(), err))
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return change()
}

// lockFailed explains why a file can't be locked. Without locks two processes could write the same file.
func lockFailed(path string, err error) error {
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("lock: %w", notOurs(path+" is a symbolic link", err))
	}
	errno, plain := err.(unix.Errno) //nolint:errorlint // any other error names the file itself, or is not one of the file
	if !plain {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	err = &fs.PathError{Op: "lock", Path: path, Err: errno}
	if errno == unix.ENOLCK || Unsupported(errno) {
		return fmt.Errorf("%w (this file system has no file locks: on NFS start rpc-statd, or mount it with nolock if only this node uses the "+
			"directory; elsewhere look for a mount option such as flock, or use a directory on another disk)", err)
	}
	return err
}

// lock returns the store's lock. If a foreign directory has no lock file that we can read, the directory itself is locked, which
// leaves nothing there.
func (d *Dir) lock() *flock.Flock {
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK
	path := filepath.Join(d.path, lockName)
	if !d.foreign {
		return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDONLY|flags), flock.SetPermissions(0o600))
	}
	if f, err := openFile(path, os.O_RDONLY); err == nil {
		_ = f.Close()
		return flock.New(path, flock.SetFlag(os.O_RDONLY|flags))
	}
	return flock.New(d.path, flock.SetFlag(os.O_RDONLY))
}

// BrokenSuffix ends the name of an archive file that was found damaged. The name keeps that fact across restarts, and no command
// uses the file as a snapshot again.
const BrokenSuffix = ".broken"

// Quarantine reads an archive a second time, in full, and renames it to NAME.broken, which it replaces, if it is damaged
// (ErrDamaged). One of an unknown format, as a newer version writes it, keeps its name and wraps ErrFormat. An intact archive keeps
// its name and is no error. broken reports whether the file was renamed; syncing the directory may still return an error then.
//
// After any other failure the file keeps its name too: a missing file wraps ErrNotFound, a failed read is the disk's error, and a
// file that was replaced or written to during the read is reported as changed, because nobody has read the new one.
func (d *Dir) Quarantine(ctx context.Context, n Name) (broken bool, err error) {
	f, err := d.File(n)
	if err != nil {
		return false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("quarantine snapshot: %w", err)
	}
	// The second read must come from the disk, not from the page cache that the first one filled. A file system may ignore this.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	damage := useArchive(n, f, before.Size(), func(a *Archive) error { return a.VerifyChecksum(ctx) })
	if !errors.Is(damage, ErrDamaged) {
		return false, damage
	}
	err = d.locked(ctx, func() error {
		if err := unchanged(d.file(n), before); err != nil {
			return err
		}
		if err := f.Close(); err != nil { // some file systems rename no open file
			return err
		}
		if err := os.Rename(d.file(n), d.file(n)+BrokenSuffix); err != nil {
			return err
		}
		broken = true
		return d.sync()
	})
	if err != nil {
		return broken, fmt.Errorf("quarantine snapshot (%w): %w", damage, err)
	}
	return broken, nil
}

// unchanged checks that the file under a path is still the same one: the same inode, which cannot be reused while the file is
// open, and the same size and time, because cp writes into an existing file.
func unchanged(path string, before fs.FileInfo) error {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: removed during the read", ErrNotFound, path)
	}
	if err != nil {
		return err
	}
	if !os.SameFile(before, now) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%s changed during the read", path)
	}
	return nil
}

// RemoveBroken deletes NAME.broken. A missing one wraps ErrNotFound.
func (d *Dir) RemoveBroken(ctx context.Context, n Name) error {
	return d.remove(ctx, d.file(n)+BrokenSuffix)
}
