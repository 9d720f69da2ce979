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

// newPlan checks everything that needs no snapshot.
func newPlan(o Options, now time.Time) (p *Plan, err error) {
	if (o.BumpRevision > 0) != o.MarkCompacted {
		return nil, fmt.Errorf("%w: --bump-revision and --mark-compacted go together: set both or neither", ErrCluster)
	}
	p = &Plan{o: o, now: now}
	if err := p.findPlaces(); err != nil {
		return nil, err
	}
	if err := p.findOwner(); err != nil {
		return nil, err
	}
	if o.InitialCluster != "" || o.Members == Single {
		if p.Cluster, err = o.cluster(nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) findPlaces() (err error) {
	if p.o.WALDir != "" { // before the error that one of them does not exist inside the other
		if err := apart(p.o.DataDir, p.o.WALDir); err != nil {
			return err
		}
	}
	if err := checkFree(p.o.DataDir); errors.Is(err, ErrHeld) { // more useful than the error that data exists
		return err
	}
	if p.data, err = findPlace(dataFlag, p.o.DataDir, p.o.Replace, p.now); err != nil {
		return err
	}
	p.DataDir = p.data.dir
	if err := checkFree(p.DataDir); err != nil {
		return err
	}
	if p.o.WALDir == "" {
		if err := checkLog(p.DataDir); err != nil {
			return err
		}
	}
	if p.o.WALDir != "" {
		if p.wal, err = findPlace(walFlag, p.o.WALDir, p.o.Replace, p.now); err != nil {
			return err
		}
		p.WALDir = p.wal.dir
		if err := apart(p.DataDir, p.WALDir); err != nil {
			return err
		}
	}
	for _, at := range []place{p.data, p.wal} {
		if at.old != "" {
			p.Aside = append(p.Aside, Move{From: at.swap, To: at.old})
		}
	}
	return nil
}

// checkLog refuses a restore without --wal-dir if the etcd that ran here kept its write-ahead log elsewhere. Started again with
// that old log, etcd would panic, or overwrite the restored data with the log's entries.
func checkLog(dataDir string) error {
	_, dbErr := os.Stat(filepath.Join(dataDir, "member", "snap", "db"))
	if _, err := os.Stat(filepath.Join(dataDir, "member", "wal")); dbErr == nil && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: the etcd that ran on %s kept its write-ahead log elsewhere: set --wal-dir to that directory", ErrTarget, dataDir)
	}
	return nil
}

// apart checks that neither directory is inside the other, because each is renamed as one.
func apart(dataDir, walDir string) error {
	dataDir, dataErr := filepath.Abs(dataDir)
	walDir, walErr := filepath.Abs(walDir)
	if err := errors.Join(dataErr, walErr); err != nil {
		return fmt.Errorf("%w: %w", ErrTarget, err)
	}
	if rel, err := filepath.Rel(dataDir, walDir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%w: --wal-dir %s is inside --data-dir: remove the flag, or use a directory elsewhere", ErrTarget, walDir)
	}
	if rel, err := filepath.Rel(walDir, dataDir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%w: --data-dir %s is inside --wal-dir: use a directory elsewhere", ErrTarget, dataDir)
	}
	return nil
}

func (p *Plan) findOwner() (err error) {
	if p.o.Owner != nil {
		if p.Owner = *p.o.Owner; !p.Owner.may() {
			return fmt.Errorf("%w: --chown %s: only root can do this", ErrOwner, p.Owner)
		}
		return nil
	}
	for _, path := range []string{filepath.Join(p.DataDir, "member"), p.DataDir, filepath.Dir(p.DataDir)} {
		if p.Owner, err = ownerOf(path); err == nil || !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err == nil && !p.Owner.may() {
		p.Owner = Owner{UID: os.Geteuid(), GID: os.Getegid()} // only root can change an owner
	}
	return err
}

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
	entries, err := os.ReadDir(p.swap)
	held := len(entries) > 0 // in a mount point only etcd's "member" is data to lose
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return p, fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	case held && !replace:
		return p, fmt.Errorf("%w: %s %s is not empty: use another directory, or --replace to move the existing data aside", ErrOccupied, flag, dir)
	case held:
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
