package snapshot

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/printable"
)

// Trusts reports whether a file or link of a user may be used where the thing around it, or the one to which it leads, belongs to another:
// it may if that user is root, this one, or the other one, who can replace it anyway.
func Trusts(owner, other uint32) bool {
	return owner == 0 || int64(owner) == int64(os.Geteuid()) || owner == other
}

const (
	byGroup  = 0o020
	byOthers = 0o002
)

// host is a directory with files of ours.
type host struct{ unix.Stat_t }

func hostOf(dir string) (h host, err error) {
	if err := unix.Stat(dir, &h.Stat_t); err != nil {
		return h, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	return h, nil
}

// forGroup reports that somebody has given the directory to a group, as Kubernetes does with fsGroup. Its processes may run as several
// users, one after the other.
func (h host) forGroup() bool { return h.Mode&(byGroup|byOthers) == byGroup }

// trusts reports whether files of a user may be ours. Other users cannot create any now, but they can in a directory like /tmp, or may
// have been able to before.
func (h host) trusts(owner uint32) bool { return h.forGroup() || Trusts(owner, h.Uid) }

// replaceable reports that users whom nobody trusts can replace files. In a directory with the sticky bit, such as /tmp or a new tmpfs,
// they can only create some.
func (h host) replaceable() bool {
	others := h.Mode & (byGroup | byOthers)
	if h.viaGroup() {
		others &^= byGroup
	}
	return others != 0 && h.Mode&unix.S_ISVTX == 0
}

// viaGroup reports that this process may write there only because of its group.
func (h host) viaGroup() bool {
	return h.Mode&byGroup != 0 && os.Geteuid() != 0 && int64(os.Geteuid()) != int64(h.Uid)
}

// Shared reports whether other users can create files in the directory, next to ours: it has the sticky bit, or is Exposed.
func (d *Dir) Shared() bool {
	h, err := hostOf(d.path)
	return err == nil && h.Mode&(byGroup|byOthers) != 0 && (d.exposed || h.Mode&unix.S_ISVTX != 0)
}

// own refuses a directory in which other users can replace files, because of its mode, its owner or a link on its path.
func (d *Dir) own() error {
	h, err := hostOf(d.path)
	if err != nil {
		return unusable(err)
	}
	if h.replaceable() {
		return fmt.Errorf("%w: other users can replace files in %s (mode %o): chmod go-w %s, or mount it with umask=077 if that has no effect",
			ErrUnusableDir, d.path, h.Mode&0o7777, d.path)
	}
	if err := d.Writable(); err != nil {
		return err
	}
	if err := d.checkOwner(h); err != nil {
		return err
	}
	return d.checkLinks(h.Uid)
}

// checkOwner refuses a directory of another user, unless it is for a group that this process needs, or the file system gives every file that
// owner (NFS with root_squash, CIFS).
func (d *Dir) checkOwner(h host) error {
	if Trusts(h.Uid, 0) || h.viaGroup() && h.forGroup() {
		return nil
	}
	f, err := d.Scratch()
	if err != nil {
		return unusable(err)
	}
	defer f.Close()
	var created unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &created); err != nil {
		return unusable(err)
	}
	if created.Uid == h.Uid {
		return nil
	}
	return fmt.Errorf("%w: %s belongs to user %d, who can replace the files in it: run as that user, or give the directory to this one: %s",
		ErrUnusableDir, d.path, h.Uid, printable.Command("chown", "-R", fmt.Sprint(os.Geteuid()), d.path))
}

// maxLinks is the kernel's own limit.
const maxLinks = 40

// checkLinks refuses a path with a symbolic link of another user, who could let it lead elsewhere. owner is that of the directory.
func (d *Dir) checkLinks(owner uint32) error {
	full, err := filepath.Abs(d.path)
	if err != nil {
		return unusable(err)
	}
	at, names := "/", strings.Split(full, "/")
	for links := 0; len(names) > 0; {
		path := filepath.Join(at, names[0]) // there is no link in at, so .. may be resolved in the text
		names = names[1:]
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil {
			return unusable(&fs.PathError{Op: "lstat", Path: path, Err: err})
		}
		if s.Mode&unix.S_IFMT != unix.S_IFLNK {
			at = path
			continue
		}
		if links++; links > maxLinks {
			return unusable(&fs.PathError{Op: "lstat", Path: path, Err: unix.ELOOP})
		}
		if !Trusts(s.Uid, owner) {
			return fmt.Errorf("%w: the symbolic link %s belongs to user %d, who could let it lead elsewhere: if it is right, make it root's: %s",
				ErrUnusableDir, path, s.Uid, printable.Command("chown", "-h", "root", path))
		}
		target, err := os.Readlink(path)
		if err != nil {
			return unusable(err)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		names = append(strings.Split(target, "/"), names...)
	}
	return nil
}
