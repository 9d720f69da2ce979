package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrOwner marks a user or group that does not exist, or to which this process may not give files.
var ErrOwner = errors.New("cannot set the owner of the data")

// Owner is the owner of files.
type Owner struct{ UID, GID int }

func (o Owner) String() string {
	owner, group := strconv.Itoa(o.UID), strconv.Itoa(o.GID)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return owner + ":" + group
}

// ParseOwner reads USER:GROUP, names or numbers; without a group it uses the user's own group. Errors wrap ErrOwner.
func ParseOwner(text string) (Owner, error) {
	name, group, hasGroup := strings.Cut(text, ":")
	o, err := lookup(name)
	if err != nil {
		return o, err
	}
	if hasGroup {
		if g, err := user.LookupGroup(group); err == nil {
			group = g.Gid
		}
		if o.GID, err = strconv.Atoi(group); err != nil || !validID(o.GID) {
			return o, fmt.Errorf("%w: --chown: no group %q here", ErrOwner, group)
		}
	}
	return o, nil
}

func lookup(name string) (Owner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		id, numErr := strconv.Atoi(name)
		if numErr != nil || !validID(id) {
			return Owner{}, fmt.Errorf("%w: --chown: no user %q here", ErrOwner, name)
		}
		if u, err = user.LookupId(name); err != nil {
			return Owner{UID: id, GID: id}, nil // a container's user has no name here
		}
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return Owner{UID: uid, GID: gid}, errors.Join(uidErr, gidErr)
}

// validID also refuses the ID that the kernel reads as "do not change".
func validID(id int) bool { return id >= 0 && id < math.MaxUint32 }

// ownerOf returns the owner of the first of these files and directories that exists.
func ownerOf(paths ...string) (o Owner, err error) {
	for _, path := range paths {
		var s unix.Stat_t
		if err = unix.Stat(path, &s); err == nil {
			return Owner{UID: int(s.Uid), GID: int(s.Gid)}, nil
		}
		if err = fmt.Errorf("read the owner of %s: %w", path, err); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return o, err
}

// may reports whether this process can give files to o.
func (o Owner) may() bool {
	return os.Geteuid() == 0 || o == Owner{UID: os.Geteuid(), GID: os.Getegid()}
}

// giveAndSync gives all files to o and writes them to the disk: files 0600, directories 0700. Only this process can reach root.
func giveAndSync(root *os.Root, tree string, o Owner) error {
	return fs.WalkDir(root.FS(), tree, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		return errors.Join(giveOne(f, o), f.Close())
	})
}

func giveOne(f *os.File, o Owner) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode, sync := fs.FileMode(0o600), (*os.File).Sync
	if info.IsDir() {
		mode, sync = 0o700, syncDir
	}
	if o.may() {
		err = f.Chown(o.UID, o.GID)
	}
	return errors.Join(err, f.Chmod(mode), sync(f))
}
