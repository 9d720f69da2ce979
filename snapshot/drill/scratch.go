package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// scratchLock is the file in a scratch directory that parent and child hold locked as long as either lives: how others tell
// a drill that runs from what a dead one has left.
const scratchLock = "lock"

// errTaken says that somebody else holds a scratch directory, or has removed it meanwhile.
var errTaken = errors.New("taken")

// scratch is the directory of one drill.
type scratch struct {
	path string // absolute
	lock *os.File
}

// newScratch makes a locked directory (0700) in dir.
func newScratch(dir string) (*scratch, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	for {
		path, err := os.MkdirTemp(dir, snapshot.ScratchPrefix+"*")
		if err != nil {
			return nil, fmt.Errorf("make scratch directory: %w", err)
		}
		lock, err := lockScratch(path)
		if err == nil {
			return &scratch{path: path, lock: lock}, nil
		}
		// RemoveLeftovers came between and takes what nobody holds.
		if !errors.Is(err, errTaken) {
			return nil, errors.Join(fmt.Errorf("make scratch directory: %w", err), os.RemoveAll(path))
		}
	}
}

// remove takes the directory away and frees the lock. It may be called after a child has removed it.
func (s *scratch) remove() error {
	return errors.Join(removeScratch(s.path), s.lock.Close())
}

// removeScratch takes a directory away in which somebody may still make files: RemoveLeftovers elsewhere the lock, or a
// drill's own work that was given up on. It gives in after a second.
func removeScratch(path string) error {
	err := os.RemoveAll(path)
	for tries := 0; errors.Is(err, unix.ENOTEMPTY) && tries < 100; tries++ {
		<-time.After(10 * time.Millisecond)
		err = os.RemoveAll(path)
	}
	if err != nil {
		return fmt.Errorf("remove scratch directory: %w", err)
	}
	return nil
}

// lockScratch gives the locked file; errTaken says that it is not ours to have.
func lockScratch(path string) (_ *os.File, err error) {
	// In /tmp anybody may have made the directory, with a link in it to what is not his.
	f, err := os.OpenFile(filepath.Join(path, scratchLock), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = firstOf(err, f.Close())
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errTaken
	} else if err != nil {
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	held, err := f.Stat()
	if err != nil {
		return nil, err
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held, named) {
		return nil, errTaken // it was removed between opening and locking
	}
	return f, err
}

// RemoveLeftovers removes what drills that died have left in dir and returns the names. Those that run stay, and those that this
// user may not remove, which are the error.
func RemoveLeftovers(dir *snapshot.Dir) (removed []string, err error) {
	entries, err := os.ReadDir(dir.Path())
	if err != nil {
		return nil, fmt.Errorf("look for leftovers of drills: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !snapshot.IsTemp(e.Name(), snapshot.ScratchPrefix) {
			continue
		}
		path := filepath.Join(dir.Path(), e.Name())
		lock, lockErr := lockScratch(path)
		if errors.Is(lockErr, errTaken) {
			continue
		}
		if lockErr != nil {
			err = errors.Join(err, fmt.Errorf("remove leftovers of a drill: %w", lockErr))
			continue
		}
		s := &scratch{path: path, lock: lock}
		if removeErr := s.remove(); removeErr != nil {
			err = errors.Join(err, removeErr)
			continue
		}
		removed = append(removed, e.Name())
	}
	return removed, err
}
