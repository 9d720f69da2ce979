package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/printable"
)

// Names in etcd's data directory.
const (
	memberDir = "member"
	snapDir   = "snap"
	walDir    = "wal"
)

// layout says which directories are exchanged. Usually that is "member" alone. Where "member" is a mount point, or a directory in
// it is a symbolic link, the directory of the log and that of the database are exchanged, each in the place that it really has;
// then the mount and the links stay, and the next boot finds the restored data.
type layout struct {
	data  string   // the data directory if there is none yet, otherwise "member" or "snap"
	built string   // its path in a data directory; "": that directory itself
	log   string   // where the write-ahead log goes; "": it is a part of data
	kept  []string // directories around them, which stay
}

func (p *Plan) layout() (layout, error) {
	info, err := os.Stat(p.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return layout{data: p.DataDir, log: p.WALDir}, nil
	case err != nil:
		return layout{}, fmt.Errorf("%w: %s: %w", ErrTarget, dataFlag, err)
	case !info.IsDir():
		return layout{}, fmt.Errorf("%w: %s %s is not a directory", ErrTarget, dataFlag, p.DataDir)
	}
	if _, err := os.Stat(filepath.Join(p.DataDir, snapDir, "db")); err == nil {
		return layout{}, fmt.Errorf("%w: %s %s is what etcd calls %q in its data directory: use the directory above it", ErrTarget, dataFlag, p.DataDir, memberDir)
	}
	if err := checkNested(p.DataDir); err != nil {
		return layout{}, err
	}
	member, err := follow(filepath.Join(p.DataDir, memberDir))
	if err != nil {
		return layout{}, err
	}
	snap, err := followBelow(member, snapDir)
	if err != nil {
		return layout{}, err
	}
	wal, log := filepath.Join(member, walDir), p.WALDir
	if log == "" {
		if log, err = followBelow(member, walDir); err != nil {
			return layout{}, err
		}
		if err := checkLog(member, log); err != nil {
			return layout{}, err
		}
	}
	mounted, err := isMountPoint(member)
	if missingIsFine(err) != nil {
		return layout{}, err
	}
	_, notLinked := os.Readlink(wal)
	switch {
	case mounted, snap != filepath.Join(member, snapDir), notLinked == nil:
		return layout{data: snap, built: filepath.Join(memberDir, snapDir), log: log, kept: []string{p.DataDir, member}}, nil
	case log == wal:
		log = ""
	}
	return layout{data: member, built: memberDir, log: log, kept: []string{p.DataDir}}, nil
}

// checkNested refuses a directory without etcd's data in which a directory has it: somebody has forgotten the last part of the path.
func checkNested(dataDir string) error {
	if _, err := os.Lstat(filepath.Join(dataDir, memberDir)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(dataDir)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrTarget, dataFlag, err)
	}
	for _, e := range entries {
		inner := filepath.Join(dataDir, e.Name())
		if _, err := os.Stat(filepath.Join(inner, memberDir, snapDir, "db")); err == nil {
			return fmt.Errorf("%w: %s %s has no data of etcd, but %s has: use %[2]s %[4]s, or move that away first", ErrTarget, dataFlag, dataDir, inner)
		}
	}
	return nil
}

// followBelow is follow for a directory of etcd. If it is a link, it may not lead to a mount point, in which a disk has its lost+found.
func followBelow(member, name string) (string, error) {
	path := filepath.Join(member, name)
	target, err := follow(path)
	if err != nil || target == path {
		return target, err
	}
	mounted, err := isMountPoint(target)
	if mounted {
		return "", fmt.Errorf("%w: %s leads to the mount point %s, which can't be exchanged with the restored data: move its files into a new directory, "+
			"and link to that: %s && %s", ErrTarget, path, target, intoNew(target, name), printable.Command("ln", "-sfn", filepath.Join(target, name), path))
	}
	return target, err
}

// checkLog refuses a restore without --wal-dir if the etcd that ran here kept its write-ahead log elsewhere, or on a disk that is
// not mounted now. Started again with that old log, etcd would panic, or overwrite the restored data with the log's entries.
func checkLog(member, wal string) error {
	if _, err := os.Stat(filepath.Join(member, snapDir, "db")); err != nil {
		return nil //nolint:nilerr // without a database, it does not matter
	}
	entries, err := os.ReadDir(wal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", ErrTarget, dataFlag, err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".wal") {
			return nil
		}
	}
	return fmt.Errorf("%w: the etcd that ran on %s kept its write-ahead log elsewhere: set --wal-dir to that directory, or mount the disk of %s; "+
		"if the log is lost, move %s aside yourself", ErrTarget, filepath.Dir(member), wal, member)
}

// follow returns where a symbolic link leads to; other paths, also missing ones, as they are.
func follow(path string) (string, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil
	case err != nil:
		return "", fmt.Errorf("%w: %s: %w", ErrTarget, dataFlag, err)
	case info.Mode()&fs.ModeSymlink == 0:
		return path, nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", leadsNowhere(path, err)
	}
	return target, checkFollow(path, target)
}

func leadsNowhere(link string, err error) error {
	return fmt.Errorf("%w: %s is a symbolic link that leads nowhere: mount what belongs there, or remove the link: %w", ErrTarget, link, err)
}

// missingIsFine drops the error that something does not exist.
func missingIsFine(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// checkTree refuses a directory that is a mount point, and one with mounts or symbolic links in it. A mount moves with the directory and
// comes back at its old path with the next boot, and then etcd uses the old data. A link would be replaced in silence.
func checkTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil // for example a temporary file
		}
		if err != nil {
			return fmt.Errorf("%w: look for mounts and links: %w", ErrTarget, err)
		}
		if d.Type()&fs.ModeSymlink != 0 {
			return refuseLink(path)
		}
		mounted, err := isMountPoint(path)
		if err != nil || !mounted {
			return err
		}
		if !d.IsDir() {
			return fmt.Errorf("%w: %s is a mount point: unmount it", ErrTarget, path)
		}
		return refuseMount(path)
	})
}

func refuseLink(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return leadsNowhere(path, err)
	}
	return fmt.Errorf("%w: %s is a symbolic link, which the restored data would replace: first put the file itself there: %s",
		ErrTarget, path, printable.Command("mv", "-T", target, path))
}

// refuseMount names a remedy that works for empty disks and for those with old data.
func refuseMount(path string) error {
	name := filepath.Base(path)
	disk := "/mnt/etcd-" + name
	return fmt.Errorf("%w: %s is a mount point, which can't be exchanged with the restored data: mount that disk elsewhere (in /etc/fstab too), "+
		"for example at %s, then move its files into a new directory, and link to that: %s && %s && %s", ErrTarget, path, disk,
		intoNew(disk, name), printable.Command("rmdir", path), printable.Command("ln", "-s", filepath.Join(disk, name), path))
}

// intoNew returns the commands that move all files of a disk into a new directory on it, which the owner of the disk can use.
func intoNew(disk, name string) string {
	dir := filepath.Join(disk, name)
	return printable.Command("mkdir", "-m", "700", dir) + " && " + printable.Command("chown", "--reference="+disk, dir) + " && " +
		printable.Command("find", disk, "-mindepth", "1", "-maxdepth", "1", "!", "-name", name, "!", "-name", "lost+found", "-exec", "mv", "-t", dir, "{}", "+")
}

// isMountPoint reports whether dir is the root of a mount, which cannot be renamed.
func isMountPoint(dir string) (bool, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &s); err != nil {
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
