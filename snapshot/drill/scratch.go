package drill

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// errLocked means that another process holds a scratch directory, or has removed it meanwhile.
var errLocked = errors.New("locked")

// scratch is the directory of one drill. Parent and child keep it locked as long as either lives, so others can distinguish a running
// drill from the leftovers of a dead one. The lock is that of the directory itself: NFS and libfuse rename a file that is removed while
// it is open, and then its directory can't be removed.
type scratch struct {
	path string // absolute
	lock *os.File
}

// newScratch creates a locked directory (0700) in dir.
func newScratch(dir string) (*scratch, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("create scratch directory: %w", err)
	}
	for {
		path, err := os.MkdirTemp(dir, snapshot.ScratchPrefix+"*")
		if err != nil {
			return nil, fmt.Errorf("create scratch directory: %w", err)
		}
		lock, err := lockScratch(path)
		if err == nil {
			if err = snapshot.CheckCreated(lock); err == nil {
				return &scratch{path: path, lock: lock}, nil
			}
			err = errors.Join(err, lock.Close())
		}
		// RemoveLeftovers of another process came in between: it removes directories that nobody has locked.
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(fmt.Errorf("create scratch directory: %w", err), os.RemoveAll(path))
		}
	}
}

// remove deletes the directory and releases the lock. A child may have deleted the directory already.
func (s *scratch) remove() error {
	return errors.Join(removeScratch(s.path), s.lock.Close())
}

// removeScratch deletes a directory in which somebody may still have files: the work of an aborted drill goes on, or a file system such as
// NFS keeps a file that was removed until the last process that had it open is gone. It stops trying after a second.
func removeScratch(path string) error {
	err := os.RemoveAll(path)
	for tries := 0; (errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY)) && tries < 100; tries++ {
		<-time.After(10 * time.Millisecond)
		err = os.RemoveAll(path)
	}
	if err != nil {
		return fmt.Errorf("remove scratch directory: %w", err)
	}
	return nil
}

// lockScratch returns the locked directory; errLocked means that it is not ours.
func lockScratch(path string) (_ *os.File, err error) {
	f, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = cmp.Or(err, f.Close())
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	} else if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	held, err := f.Stat()
	if err != nil {
		return nil, err
	}
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held, named) {
		return nil, errLocked // it was removed between opening and locking
	}
	return f, err
}

// RemoveLeftovers removes what dead drills left in dir and returns the names. It skips running drills. It also skips what this
// user may not remove, and returns that as the error.
func RemoveLeftovers(dir *snapshot.Dir) (removed []string, err error) {
	entries, err := os.ReadDir(dir.Path())
	if err != nil {
		return nil, fmt.Errorf("list leftovers of drills: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !snapshot.IsTemp(e.Name(), snapshot.ScratchPrefix) {
			continue
		}
		path := filepath.Join(dir.Path(), e.Name())
		lock, failed := lockScratch(path)
		switch {
		case errors.Is(failed, errLocked):
			continue
		case failed != nil:
			failed = fmt.Errorf("remove leftovers of a drill: %w", failed)
		default:
			failed = (&scratch{path: path, lock: lock}).remove()
		}
		if failed == nil {
			removed = append(removed, e.Name())
		}
		err = errors.Join(err, failed)
	}
	return removed, err
}
