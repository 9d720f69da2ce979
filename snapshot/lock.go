package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockName is the file whose lock serializes what changes names in the directory.
const lockName = ".lock"

// lockTimeout bounds the wait for another process; the lock is only ever held for a few system calls.
const lockTimeout = 10 * time.Second

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
