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
	// ErrTarget marks a target that cannot be restored to.
	ErrTarget = errors.New("cannot restore there")
	// ErrOccupied marks a target with existing data that may not be replaced.
	ErrOccupied = errors.New("data already exists")
)

const (
	dataFlag = "--data-dir"
	walFlag  = "--wal-dir"
)

// asideLayout is the time in names of moved data, in UTC and without colons, which etcd's flags and some tools do not accept.
const asideLayout = "20060102T150405Z"

// Move is one rename.
type Move struct{ From, To string }

// place is one directory to restore: the data directory, or a separate WAL directory.
type place struct {
	dir  string // symlinks resolved
	swap string // what is renamed: dir, or "member" in it if dir is a mount point, which cannot be renamed
	old  string // where the existing data goes; "": there is none
}

// within returns the path in the staged directory of what is renamed to swap.
func (p place) within(staged string) string {
	if p.swap == p.dir {
		return staged
	}
	return filepath.Join(staged, filepath.Base(p.swap))
}

// findPlace checks the target without changing anything. Errors name the flag.
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
		return p, fmt.Errorf("%w: %s %s is not a directory", ErrTarget, flag, dir)
	}
	mounted, err := isMountPoint(dir)
	if err != nil {
		return p, err
	}
	if mounted && flag == walFlag {
		return p, fmt.Errorf("%w: --wal-dir %s is a mount point, which etcd cannot use either: use a directory in it", ErrTarget, dir)
	}
	if mounted {
		p.swap = filepath.Join(dir, "member")
	}
	held, err := holdsData(p)
	if err != nil {
		return p, fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	}
	if held && !replace {
		return p, fmt.Errorf("%w: %s %s is not empty: use another directory, or --replace to move the existing data aside", ErrOccupied, flag, dir)
	}
	if held {
		p.old = p.swap + ".before-restore-" + now.UTC().Format(asideLayout)
		if _, err := os.Lstat(p.old); err == nil {
			return p, fmt.Errorf("%w: %s already exists: wait one second", ErrOccupied, p.old)
		}
	}
	return p, usable(flag, p)
}

// resolve follows a symbolic link to its directory, because a rename would replace the link.
func resolve(flag, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s %s: there is no directory %s: create it, or mount what belongs there", ErrTarget, flag, path, filepath.Dir(path))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	}
	path = filepath.Join(parent, filepath.Base(path))
	if parent == path {
		return "", fmt.Errorf("%w: %s %s: use a directory that contains only etcd's data", ErrTarget, flag, path)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil // findPlace decides whether it may be missing
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%w: %s %s is a symbolic link to something that does not exist: %w", ErrTarget, flag, path, err)
	}
	return target, nil
}

// holdsData reports whether there is data to lose. In a mount point only etcd's "member" counts.
func holdsData(p place) (bool, error) {
	entries, err := os.ReadDir(p.swap)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// parent returns the directory for the staging directory, in the same file system as what it replaces.
func (p place) parent() string { return filepath.Dir(p.swap) }

func usable(flag string, p place) error {
	if err := unix.Access(p.parent(), unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%w: %s %s: this user may not write to %s: %w", ErrTarget, flag, p.dir, p.parent(), err)
	}
	return nil
}

// isMountPoint reports whether dir is the root of a mount, which cannot be renamed.
func isMountPoint(dir string) (bool, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_BASIC_STATS, &s); err != nil {
		return false, fmt.Errorf("read the mount of %s: %w", dir, err)
	}
	if s.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	// Kernels before 5.8 show this only by the device, so not for a bind mount of the same file system.
	var here, above unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &here), unix.Stat(filepath.Dir(dir), &above)); err != nil {
		return false, fmt.Errorf("read the mount of %s: %w", dir, err)
	}
	return here.Dev != above.Dev, nil
}
