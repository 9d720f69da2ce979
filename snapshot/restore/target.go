package restore

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

// findPlaces finds what is exchanged with the restored data, and checks that it can be.
func (p *Plan) findPlaces() (err error) {
	if err := checkFree(p.o.DataDir); errors.Is(err, ErrHeld) { // more useful than the error that data exists
		return err
	}
	if p.DataDir, err = resolve(dataFlag, p.o.DataDir); err != nil {
		return err
	}
	if p.o.WALDir != "" {
		if err := p.findWALDir(); err != nil {
			return err
		}
	}
	l, err := p.layout()
	if err != nil {
		return err
	}
	if err := checkFree(p.DataDir); err != nil {
		return err
	}
	if l.log != "" {
		if err := apart(l.data, l.log); err != nil {
			return err
		}
	}
	if p.data, err = findPlace(dataFlag, l.data, p.o.Replace, p.now); err != nil {
		return err
	}
	p.data.built, p.kept, p.LogDir = l.built, l.kept, l.log
	if p.LogDir != "" {
		flag := walFlag
		if p.WALDir == "" {
			flag = dataFlag
		}
		if p.wal, err = findPlace(flag, p.LogDir, p.o.Replace, p.now); err != nil {
			return err
		}
	}
	return p.findAside()
}

// findWALDir resolves --wal-dir. One in a data directory that does not exist is refused as that, and not as in a missing directory.
func (p *Plan) findWALDir() (err error) {
	if _, err := os.Stat(p.DataDir); errors.Is(err, fs.ErrNotExist) {
		wal, err := filepath.Abs(p.o.WALDir)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrTarget, walFlag, err)
		}
		if err := apart(p.DataDir, wal); err != nil {
			return err
		}
	}
	if p.WALDir, err = resolve(walFlag, p.o.WALDir); err != nil {
		return err
	}
	mounted, err := isMountPoint(p.WALDir)
	if mounted {
		return fmt.Errorf("%w: --wal-dir %s is a mount point, which etcd cannot use either: use a directory in it", ErrTarget, p.WALDir)
	}
	return missingIsFine(err)
}

// findAside lists what is moved aside and what stays, and tries whether the existing data can be moved.
func (p *Plan) findAside() error {
	for _, at := range []place{p.data, p.wal} {
		if at.old == "" {
			continue
		}
		p.Aside = append(p.Aside, Move{From: at.swap, To: at.old})
		if err := at.tryMove(); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(p.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", ErrTarget, dataFlag, err)
	}
	for _, e := range entries {
		path := filepath.Join(p.DataDir, e.Name())
		if e.Name() != memberDir && path != p.data.swap && path != p.wal.swap && !snapshot.IsTemp(e.Name(), memberDir+stageInfix) {
			p.Stays = append(p.Stays, e.Name())
		}
	}
	return nil
}

// apart checks that neither directory is inside the other, because each is renamed as one.
func apart(data, wal string) error {
	if within(data, wal) {
		return fmt.Errorf("%w: --wal-dir %s is inside --data-dir, in %s: remove the flag, or use a directory elsewhere", ErrTarget, wal, data)
	}
	if within(wal, data) {
		return fmt.Errorf("%w: --data-dir %s is inside --wal-dir: use a directory elsewhere", ErrTarget, data)
	}
	return nil
}

// findOwner finds who will own the data. Where data is, its owner was right; where all is lost, not even the directory says who etcd runs as.
func (p *Plan) findOwner() (err error) {
	if p.o.Owner != nil {
		if p.Owner, p.owned = *p.o.Owner, true; !p.Owner.may() {
			return fmt.Errorf("%w: --chown %s: only root can do this", ErrOwner, p.Owner)
		}
		return nil
	}
	if p.Owner, err = ownerOf(p.data.swap, filepath.Join(p.DataDir, memberDir)); errors.Is(err, fs.ErrNotExist) {
		if p.o.Default != nil && p.o.Default.may() {
			p.Owner, p.owned = *p.o.Default, true
			return nil
		}
		p.Owner, err = ownerOf(p.DataDir, filepath.Dir(p.DataDir))
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

// place is one directory to restore, which is exchanged as a whole.
type place struct {
	flag  string
	swap  string // symlinks resolved; it need not exist
	built string // its path in the staged data directory; "": that directory itself
	old   string // where the existing data goes; "": there is none
}

// findPlace checks a directory without changing anything. Errors name the flag.
func findPlace(flag, dir string, replace bool, now time.Time) (place, error) {
	p := place{flag: flag, swap: dir}
	if err := checkFstab(fstab, dir); err != nil {
		return p, err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, p.usable()
	case err != nil:
		return p, fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	case !info.IsDir():
		return p, fmt.Errorf("%w: %s: %s is not a directory", ErrTarget, flag, dir)
	}
	if err := checkTree(dir); err != nil {
		return p, err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: %s: %w", ErrTarget, flag, err)
	case len(entries) > 0 && !replace:
		return p, fmt.Errorf("%w: %s: %s is not empty: use another directory, or --replace to move the existing data aside", ErrOccupied, flag, dir)
	case len(entries) > 0:
		p.old = dir + ".before-restore-" + now.UTC().Format(asideLayout)
		if _, err := os.Lstat(p.old); err == nil {
			return p, fmt.Errorf("%w: %s already exists: wait one second", ErrOccupied, p.old)
		}
	}
	return p, p.usable()
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
	return target, checkFollow(path, target)
}

// parent returns the directory for the staging directory, in the same file system as what it replaces.
func (p place) parent() string { return filepath.Dir(p.swap) }

// base is the target's name, with which those of its staging directories begin.
func (p place) base() string { return filepath.Base(p.swap) }

func (p place) usable() error {
	if err := unix.Access(p.parent(), unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%w: %s: this user may not write to %s: %w", ErrTarget, p.flag, p.parent(), err)
	}
	return nil
}
