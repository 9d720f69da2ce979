package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

const (
	stageInfix = ".restore-"
	// stageMark is the file in a staging directory that identifies it.
	stageMark = ".etcd-rolling-backup"
	stageNew  = "new"
)

// claims limits how often a staging directory is created again because another restore took it for a dead one.
const claims = 10

// stage is a directory next to the target, in which its replacement is built. It is locked as long as the restore runs. The lock is
// that of the directory itself: NFS and libfuse rename a file that is removed while it is open, and its directory then can't be removed.
type stage struct {
	dir  string
	lock *os.File
	left error // of removing what dead restores left
}

// errTaken marks a staging directory that another restore removed, or is removing, before it was locked.
var errTaken = errors.New("removed by another restore")

// newStage creates a staging directory in parent for the target called base, and removes those of dead restores. Restores in the same
// directory need no lock in common, which any user could hold where parent can be read by all: a staging directory without a lock is
// taken for dead, so its restore checks, with the lock, that it still exists.
func newStage(parent, base string) (s *stage, err error) {
	left := sweep(parent, base)
	for range claims {
		var dir string
		if dir, err = os.MkdirTemp(parent, base+stageInfix+"*"); err != nil {
			break
		}
		if s, err = mark(dir, unix.Flock); err == nil {
			s.left = left
			return s, nil
		}
		if !errors.Is(err, errTaken) {
			break
		}
	}
	return nil, fmt.Errorf("create a staging directory in %s: %w", parent, errors.Join(err, left))
}

// mark turns an empty directory into a staging directory. After an error it is removed.
func mark(dir string, lock func(fd, how int) error) (*stage, error) {
	f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	s := &stage{dir: dir, lock: f}
	err = lock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK) || err == nil && !s.exists():
		return nil, errors.Join(errTaken, f.Close())
	case err != nil:
		err = fmt.Errorf("lock %s: %w", dir, err)
	default:
		err = os.WriteFile(filepath.Join(dir, stageMark), nil, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

// exists reports whether the directory's name still leads to it.
func (s *stage) exists() bool {
	locked, err := s.lock.Stat()
	now, missing := os.Lstat(s.dir)
	return err == nil && missing == nil && os.SameFile(locked, now)
}

// path returns where the target is built.
func (s *stage) path() string { return filepath.Join(s.dir, stageNew) }

// discard removes the staging directory and what is still in it.
func (s *stage) discard() error {
	if s.lock == nil {
		return nil
	}
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

// sweep removes staging directories of dead restores.
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
		return missingIsFine(err)
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
