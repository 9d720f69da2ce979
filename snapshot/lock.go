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

// locked runs change while no other process changes names here.
func (d *Dir) locked(ctx context.Context, change func() error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock := d.lock()
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("another process has held it for %s: %w", lockTimeout, err)
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
