package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// Another user, such as the one that etcd runs as, may own the directory in which root restores, and exchange names there at any moment. So
// a directory is opened once, and all that changes something goes through its descriptor: never through a path that has such a name in it.

// openDir opens a directory by an absolute path without symbolic links. If somebody has put a link into the path since it was resolved,
// that is an error.
func openDir(path string) (*os.File, error) {
	at, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for name := range strings.SplitSeq(strings.Trim(filepath.Clean(path), "/"), "/") {
		if err != nil {
			break
		}
		var next int
		next, err = unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		err = errors.Join(err, unix.Close(at))
		at = next
	}
	if err == nil {
		var fd int
		fd, err = unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		err = errors.Join(err, unix.Close(at))
		at = fd
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open without following links", Path: path, Err: err}
	}
	return os.NewFile(uintptr(at), path), nil
}

// openDirIn opens a directory in another one, and no symbolic link.
func openDirIn(parent *os.File, name string) (*os.File, error) {
	path := filepath.Join(parent.Name(), name)
	fd, err := unix.Openat(int(parent.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// same reports whether a name in a directory is the opened file.
func same(parent *os.File, name string, f *os.File) bool {
	var named, opened unix.Stat_t
	err := errors.Join(unix.Fstatat(int(parent.Fd()), name, &named, unix.AT_SYMLINK_NOFOLLOW), unix.Fstat(int(f.Fd()), &opened))
	return err == nil && named.Dev == opened.Dev && named.Ino == opened.Ino
}

// checkFollow refuses a symbolic link with which its owner could let root replace somebody else's directory.
func checkFollow(link, target string) error {
	var from, to unix.Stat_t
	if err := errors.Join(unix.Lstat(link, &from), unix.Stat(target, &to)); err != nil {
		return fmt.Errorf("read the owner of %s: %w", link, err)
	}
	if snapshot.Trusts(from.Uid, to.Uid) {
		return nil
	}
	return fmt.Errorf("%w: the symbolic link %s is of user %d, but %s, to which it leads, is not: if this link is right, make it root's: chown -h root %s",
		ErrTarget, link, from.Uid, target, link)
}

// syncDir is [snapshot.SyncDir] for an open directory.
func syncDir(dir *os.File) error {
	if err := dir.Sync(); err != nil && !snapshot.Unsupported(err) {
		return fmt.Errorf("sync directory %s: %w", dir.Name(), err)
	}
	return nil
}
