package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

const (
	stageInfix = ".restore-"
	// stageMark is the file in a staging directory that identifies it.
	stageMark = ".etcd-rolling-backup"
	stageNew  = "new"
)

// lockTimeout limits the wait for another restore in the same directory, which may be removing a large tree.
const lockTimeout = time.Minute

// stage is a directory next to the target, in which its replacement is built. It is locked as long as the restore runs. The lock is
// that of the directory itself: NFS and libfuse rename a file that is removed while it is open, and its directory then can't be removed.
type stage struct {
	dir  string
	lock *os.File
	left error // of removing what dead restores left
}

// newStage creates a staging directory in parent for the target called base, and removes those of dead restores.
func newStage(ctx context.Context, parent, base string) (s *stage, err error) {
	// The parent's lock hides the staging directory from others until its own lock is held.
	err = locked(ctx, parent, lockTimeout, func() error {
		left := sweep(parent, base)
		if s, err = claim(parent, base); err != nil {
			return errors.Join(err, left)
		}
		s.left = left
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create a staging directory in %s: %w", parent, err)
	}
	return s, nil
}

// claim creates a staging directory. The caller holds the parent's lock.
func claim(parent, base string) (*stage, error) {
	dir, err := os.MkdirTemp(parent, base+stageInfix+"*")
	if err != nil {
		return nil, err
	}
	return mark(dir, unix.Flock)
}

// mark turns an empty directory into a staging directory. After an error it is removed.
func mark(dir string, lock func(fd, how int) error) (*stage, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	s := &stage{dir: dir, lock: f}
	if err = lock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = fmt.Errorf("lock %s: %w", dir, err)
	} else {
		err = os.WriteFile(filepath.Join(dir, stageMark), nil, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

// path returns where the target is built.
func (s *stage) path() string { return filepath.Join(s.dir, stageNew) }

// discard removes the staging directory and what is still in it.
func (s *stage) discard() error {
	err := errors.Join(removeStage(s.dir), s.lock.Close())
	if err != nil {
		return fmt.Errorf("remove the staging directory %s: %w", s.dir, err)
	}
	return nil
}

// removeStage removes the mark last, and only if everything else is gone, so that the next restore recognizes what is left.
func removeStage(dir string) error {
	entries, err := os.ReadDir(dir)
	err = missingIsFine(err)
	for _, e := range entries {
		if e.Name() != stageMark {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// sweep removes staging directories of dead restores. Under the parent's lock, one without a mark cannot belong to a running
// restore.
func sweep(parent, base string) error {
	entries, err := os.ReadDir(parent)
	for _, e := range entries {
		if e.IsDir() && snapshot.IsTemp(e.Name(), base+stageInfix) {
			err = errors.Join(err, sweepOne(filepath.Join(parent, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier restore left: %w", err)
	}
	return nil
}

func sweepOne(dir string) error {
	f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // its restore is running
	}
	if _, missing := os.Lstat(filepath.Join(dir, stageMark)); errors.Is(missing, os.ErrNotExist) {
		_ = os.Remove(dir) // only if it is empty, and so ours
		return nil
	}
	return errors.Join(err, removeStage(dir))
}

// locked runs change while no other restore creates or removes staging directories in dir.
func locked(ctx context.Context, dir string, timeout time.Duration, change func() error) (err error) {
	lock := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	patient, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err = lock.TryLockContext(patient, 20*time.Millisecond)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s has held the lock of %s for %s: wait until it exits, or stop it", holder(dir), dir, timeout)
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return change()
}
