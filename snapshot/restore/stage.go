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
	// stageMark is the file in a staging directory that identifies it. It is locked as long as the restore runs.
	stageMark = ".etcd-rolling-backup"
	stageNew  = "new"
)

// lockTimeout limits the wait for another restore in the same directory, which may be removing a large tree.
const lockTimeout = time.Minute

// stage is a directory next to the target, in which its replacement is built.
type stage struct {
	dir  string
	mark *os.File
}

// newStage creates a staging directory in parent for the target called base, and removes those of dead restores.
func newStage(ctx context.Context, parent, base string) (s *stage, err error) {
	// The parent's lock hides the staging directory from others until its own lock is held.
	err = locked(ctx, parent, lockTimeout, func() error {
		if err := sweep(parent, base); err != nil {
			return err
		}
		dir, err := os.MkdirTemp(parent, base+stageInfix+"*")
		if err != nil {
			return err
		}
		s, err = mark(dir, unix.Flock)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create a staging directory in %s: %w", parent, err)
	}
	return s, nil
}

// mark turns an empty directory into a staging directory. After an error it is removed.
func mark(dir string, lock func(fd, how int) error) (s *stage, err error) {
	s = &stage{dir: dir}
	if s.mark, err = os.OpenFile(filepath.Join(dir, stageMark), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	if err := lock(int(s.mark.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", s.mark.Name(), err), s.discard())
	}
	return s, nil
}

// path returns where the target is built.
func (s *stage) path() string { return filepath.Join(s.dir, stageNew) }

// discard removes the staging directory and what is still in it.
func (s *stage) discard() error { return errors.Join(removeStage(s.dir), s.mark.Close()) }

// removeStage removes the mark last, so that the next restore recognizes what is left at any moment.
func removeStage(dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, stageNew)), os.RemoveAll(dir))
}

// sweep removes staging directories of dead restores. Under the parent's lock, one without a mark cannot belong to a running
// restore.
func sweep(parent, base string) error {
	entries, err := os.ReadDir(parent)
	for _, e := range entries {
		if err == nil && snapshot.IsTemp(e.Name(), base+stageInfix) {
			err = sweepOne(filepath.Join(parent, e.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier restore left: %w", err)
	}
	return nil
}

func sweepOne(dir string) error {
	f, err := os.Open(filepath.Join(dir, stageMark))
	if errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(dir) // only if it is empty, and so ours
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // its restore is running
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

// change moves one directory that was built to its place.
type change struct {
	staged, target string
	old            string // where the existing data at target goes; "": there is none
}

// install makes all changes. If one fails, it undoes the others, so that the old data has its old name again. Old and new data
// exchange their names in one step. So after a crash one of them is at the target; an etcd that found nothing there would start
// an empty cluster.
func install(changes []change) error {
	for i, c := range changes {
		err := c.do()
		if err == nil {
			continue
		}
		err = fmt.Errorf("move the restored data to its place: %w", err)
		for done := i - 1; done >= 0; done-- {
			if undo := changes[done].undo(); undo != nil {
				err = errors.Join(err, fmt.Errorf("undo the previous step: %w", undo))
			}
		}
		return err
	}
	var err error
	for _, c := range changes {
		err = errors.Join(err, snapshot.SyncDir(filepath.Dir(c.target)))
	}
	if err != nil {
		return fmt.Errorf("the data is in its place, but a power loss could undo that: %w", err)
	}
	return nil
}

// do first gives the new data the name that the old data will have, then exchanges the two names.
func (c change) do() error {
	if c.old == "" {
		return move(c.staged, c.target)
	}
	if _, err := os.Lstat(c.old); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrOccupied, c.old)
	}
	if err := move(c.staged, c.old); err != nil {
		return err
	}
	err := exchange(c.old, c.target)
	if err == nil {
		return nil
	}
	return errors.Join(err, move(c.old, c.staged))
}

func (c change) undo() error {
	if c.old == "" {
		return move(c.target, c.staged)
	}
	return errors.Join(exchange(c.old, c.target), move(c.old, c.staged))
}

// exchange exchanges the names of two directories in one step. If the file system cannot do this, such as NFS, the target is
// missing for a moment.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return exchangeSlowly(a, b)
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}

func exchangeSlowly(a, b string) error {
	between := a + ".new"
	if err := move(a, between); err != nil {
		return err
	}
	if err := move(b, a); err != nil {
		return errors.Join(err, move(between, a))
	}
	if err := move(between, b); err != nil {
		return errors.Join(err, move(a, b), move(between, a))
	}
	return nil
}

// move is rename(2), which replaces an empty directory and no other; os.Rename replaces none.
func move(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
