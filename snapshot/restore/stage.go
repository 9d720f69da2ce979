package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

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
// Only this user can reach what is in it. Whoever owns the directory around it may rename it; so all goes through its descriptor.
type stage struct {
	parent *os.File // the directory around it, which the target is in too
	name   string   // in parent
	dir    string   // its path, for messages
	lock   *os.File // the staging directory itself
	root   *os.Root // for what is in it
	left   error    // of removing what dead restores left
}

// errTaken marks a staging directory that another restore removed, or is removing, before it was locked.
var errTaken = errors.New("removed by another restore")

// newStage creates a staging directory in parent for the target called base, and removes those of dead restores. Restores in the same
// directory need no lock in common, which any user could hold where parent can be read by all: a staging directory without a lock is
// taken for dead, so its restore checks, with the lock, that it still exists.
func newStage(parent, base string) (*stage, error) {
	at, err := openDir(parent)
	if err != nil {
		return nil, fmt.Errorf("create a staging directory in %s: %w", parent, err)
	}
	left := sweep(at, base)
	for range claims {
		var name string
		if name, err = makeDir(at, base+stageInfix); err != nil {
			break
		}
		var s *stage
		if s, err = mark(at, name, unix.Flock); err == nil {
			s.left = left
			return s, nil
		}
		if !errors.Is(err, errTaken) {
			break
		}
	}
	return nil, fmt.Errorf("create a staging directory in %s: %w", parent, errors.Join(err, left, at.Close()))
}

// makeDir creates a directory with a name that [snapshot.IsTemp] recognizes.
func makeDir(parent *os.File, prefix string) (name string, err error) {
	err = unix.EEXIST
	for errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EINTR) {
		name = prefix + strconv.FormatUint(uint64(rand.Uint32()), 10)
		err = unix.Mkdirat(int(parent.Fd()), name, 0o700)
	}
	if err != nil {
		return "", &os.PathError{Op: "mkdir", Path: filepath.Join(parent.Name(), name), Err: err}
	}
	return name, nil
}

// mark turns a directory that was just created into a staging directory. After an error it is removed.
func mark(parent *os.File, name string, lock func(fd, how int) error) (*stage, error) {
	f, err := openDirIn(parent, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, errors.Join(err, removeName(parent, name))
	}
	s := &stage{parent: parent, name: name, dir: f.Name(), lock: f}
	err = lock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK) || err == nil && !s.exists():
		return nil, errors.Join(errTaken, f.Close())
	case err != nil:
		err = fmt.Errorf("lock %s: %w", s.dir, err)
	default:
		err = s.begin()
	}
	if err != nil {
		return nil, errors.Join(err, removeName(parent, name), s.close())
	}
	return s, nil
}

// begin writes the mark. It leaves nothing after an error.
func (s *stage) begin() (err error) {
	if err := snapshot.CheckCreated(s.lock); err != nil {
		return err
	}
	if s.root, err = openRoot(s.lock); err != nil {
		return err
	}
	if err := s.root.WriteFile(stageMark, nil, 0o600); err != nil {
		return errors.Join(err, missingIsFine(s.root.Remove(stageMark)))
	}
	return nil
}

// exists reports whether the directory's name still leads to it.
func (s *stage) exists() bool { return same(s.parent, s.name, s.lock) }

// errReplaced is an error of the moment: somebody else changes names while the restore runs.
var errReplaced = errors.New("another process has replaced a directory of the path during the restore")

// reachable checks that the path of the directory around it still leads there: otherwise nobody would find the restored data.
func (s *stage) reachable() error {
	f, err := openDir(s.parent.Name())
	if err != nil {
		return fmt.Errorf("%w: %w", errReplaced, err)
	}
	defer f.Close()
	if !same(f, ".", s.parent) {
		return fmt.Errorf("%w: %s", errReplaced, s.parent.Name())
	}
	return nil
}

// path returns where etcd's library builds the target. It stays valid if another user renames the staging directory.
func (s *stage) path() string { return filepath.Join(throughFD(s.lock), stageNew) }

// discard removes the staging directory and what is still in it.
func (s *stage) discard() error {
	if s.lock == nil {
		return nil
	}
	err := errors.Join(removeStage(s.parent, s.name, s.root), s.close(), s.parent.Close())
	if err != nil {
		return fmt.Errorf("remove the staging directory %s: %w", s.dir, err)
	}
	return nil
}

// close releases the lock.
func (s *stage) close() error {
	err := s.lock.Close()
	if s.root != nil {
		err = errors.Join(err, s.root.Close())
	}
	return err
}

// removeStage removes the mark last, and only if everything else is gone, so that the next restore recognizes what is left. What is no
// longer there under the name was renamed by the owner of parent, and is empty.
func removeStage(parent *os.File, name string, root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	err = missingIsFine(err)
	for _, e := range entries {
		if e.Name() != stageMark {
			err = errors.Join(err, root.RemoveAll(e.Name()))
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(missingIsFine(root.Remove(stageMark)), removeName(parent, name))
}

// removeName removes an empty directory; a missing one is no error.
func removeName(parent *os.File, name string) error {
	err := unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return &os.PathError{Op: "rmdir", Path: filepath.Join(parent.Name(), name), Err: err}
}

// sweep removes staging directories of dead restores.
func sweep(parent *os.File, base string) error {
	entries, err := os.ReadDir(throughFD(parent))
	for _, e := range entries {
		if e.IsDir() && snapshot.IsTemp(e.Name(), base+stageInfix) {
			err = errors.Join(err, sweepOne(parent, e.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier restore left: %w", err)
	}
	return nil
}

func sweepOne(parent *os.File, name string) error {
	f, err := openDirIn(parent, name)
	if err != nil {
		return missingIsFine(err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // its restore is running
	}
	root, failed := openRoot(f)
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	defer root.Close()
	if _, missing := root.Lstat(stageMark); errors.Is(missing, os.ErrNotExist) {
		_ = removeName(parent, name) // only if it is empty, and so ours
		return nil
	}
	if err := removeStage(parent, name, root); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// openRoot limits what is done to a directory and what is in it.
func openRoot(dir *os.File) (*os.Root, error) {
	root, err := os.OpenRoot(throughFD(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: a restore needs /proc: mount -t proc proc /proc: %w", ErrTarget, err)
	}
	return root, err
}
