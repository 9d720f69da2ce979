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
	// stageMark is the file in a staging directory that says whose it is. It is locked as long as the restore lives.
	stageMark = ".etcd-rolling-backup"
	stageNew  = "new"
)

// lockTimeout bounds the wait for another restore beside this one, which may have a large tree to remove.
const lockTimeout = time.Minute

// stage is a directory beside the target in which its replacement is built.
type stage struct {
	dir  string
	mark *os.File
}

// newStage makes a staging directory in parent for the target called base, and clears those of restores that died.
func newStage(ctx context.Context, parent, base string) (s *stage, err error) {
	// Under the parent's lock nobody sees a staging directory before its own lock is held.
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
		return nil, fmt.Errorf("make a staging directory in %s: %w", parent, err)
	}
	return s, nil
}

// mark makes a staging directory of an empty one. After an error that is gone.
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

// path is where the target is built.
func (s *stage) path() string { return filepath.Join(s.dir, stageNew) }

// discard removes what is still in it.
func (s *stage) discard() error { return errors.Join(removeStage(s.dir), s.mark.Close()) }

// removeStage removes the mark last: what is left of it at any moment, the next restore knows.
func removeStage(dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, stageNew)), os.RemoveAll(dir))
}

// sweep removes staging directories whose restore is dead. Under the parent's lock one without a mark is none of a living one.
func sweep(parent, base string) error {
	found, err := filepath.Glob(filepath.Join(escapeGlob(parent), escapeGlob(base)+stageInfix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range found {
		if !snapshot.IsTemp(filepath.Base(dir), base+stageInfix) {
			continue
		}
		if err := sweepOne(dir); err != nil {
			return fmt.Errorf("remove what an earlier restore left behind: %w", err)
		}
	}
	return nil
}

func sweepOne(dir string) error {
	f, err := os.Open(filepath.Join(dir, stageMark))
	if errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(dir) // if it is empty, and so ours
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // it lives
	}
	return errors.Join(err, removeStage(dir))
}

func escapeGlob(text string) string {
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		switch text[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, text[i])
	}
	return string(out)
}

// locked runs change while no other restore makes or removes staging directories in dir.
func locked(ctx context.Context, dir string, timeout time.Duration, change func() error) (err error) {
	lock := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	patient, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err = lock.TryLockContext(patient, 20*time.Millisecond)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s has held the lock of %s for %s: wait until it has ended, or end it", lockHolder(dir), dir, timeout)
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return change()
}

func lockHolder(dir string) string {
	f, err := os.Open(dir)
	if err != nil {
		return "another process"
	}
	defer f.Close()
	return holder(f)
}
