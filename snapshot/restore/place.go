package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrTarget marks a place where nothing can be restored to.
	ErrTarget = errors.New("can't restore there")
	// ErrOccupied marks a target that holds data which was not to be replaced.
	ErrOccupied = errors.New("data is there already")
)

const (
	dataFlag = "--data-dir"
	walFlag  = "--wal-dir"
)

// asideLayout dates what is moved aside, in UTC and without colons, which etcd's flags and some tools stumble over.
const asideLayout = "20060102T150405Z"

// Move is a renaming.
type Move struct{ From, To string }

// place is a directory that is to be put in its place: the data directory, or a WAL directory beside it.
type place struct {
	dir  string // symlinks resolved
	swap string // what is renamed: dir, or for a mount point, which can't be, "member" in it
	old  string // where the data that is there goes; "": there is none
}

// within tells where in the staged directory the thing lies that is renamed to swap.
func (p place) within(staged string) string {
	if p.swap == p.dir {
		return staged
	}
	return filepath.Join(staged, filepath.Base(p.swap))
}

// findPlace looks at the target without changing anything. flag names it in errors.
func findPlace(flag, path string, replace bool, now time.Time) (place, error) {
	dir, err := resolve(flag, path)
	if err != nil {
		return place{}, err
	}
	p := place{dir: dir, swap: dir}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, usable(flag, p)
	case err != nil:
		return p, fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	case !info.IsDir():
		return p, fmt.Errorf("%w: %s %s is no directory", ErrTarget, flag, dir)
	}
	mounted, err := isMountPoint(dir)
	if err != nil {
		return p, err
	}
	if mounted && flag == walFlag {
		return p, fmt.Errorf("%w: --wal-dir %s is a mount point, which etcd can't use either: give a directory in it", ErrTarget, dir)
	}
	if mounted {
		p.swap = filepath.Join(dir, "member")
	}
	held, err := holdsData(p)
	if err != nil {
		return p, fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	}
	if held && !replace {
		return p, fmt.Errorf("%w: %s %s is not empty: give another one, or --replace to move what is there aside", ErrOccupied, flag, dir)
	}
	if held {
		p.old = p.swap + ".before-restore-" + now.UTC().Format(asideLayout)
		if _, err := os.Lstat(p.old); err == nil {
			return p, fmt.Errorf("%w: %s is there already: wait a second", ErrOccupied, p.old)
		}
	}
	return p, usable(flag, p)
}

// resolve follows a symbolic link to the directory that it means, for a rename would replace the link.
func resolve(flag, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s %s: there is no directory %s: make it, or mount what belongs there", ErrTarget, flag, path, filepath.Dir(path))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	}
	path = filepath.Join(parent, filepath.Base(path))
	if parent == path {
		return "", fmt.Errorf("%w: %s %s: give a directory of etcd's own", ErrTarget, flag, path)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil // that it may be missing is findPlace's to say
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%w: %s %s is a symbolic link that leads nowhere: %w", ErrTarget, flag, path, err)
	}
	return target, nil
}

// holdsData tells whether there is something to lose. For a mount point only etcd's "member" counts.
func holdsData(p place) (bool, error) {
	entries, err := os.ReadDir(p.swap)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// parent is the directory in which the staging lies, on the same file system as what it replaces.
func (p place) parent() string { return filepath.Dir(p.swap) }

func usable(flag string, p place) error {
	if err := unix.Access(p.parent(), unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%w: %s %s: this user may not write in %s: %w", ErrTarget, flag, p.dir, p.parent(), err)
	}
	return nil
}

// isMountPoint tells whether dir is where a file system, or a part of one, begins: that can't be renamed.
func isMountPoint(dir string) (bool, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_BASIC_STATS, &s); err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	if s.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	// Kernels before 5.8 tell by the device only, and so not for a bind mount of the same file system.
	var here, above unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &here), unix.Stat(filepath.Dir(dir), &above)); err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	return here.Dev != above.Dev, nil
}
