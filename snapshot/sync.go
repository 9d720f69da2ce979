package snapshot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncDir writes the names in a directory to the disk. Some file systems cannot do this for directories (CIFS of old kernels, vboxsf,
// some FUSE file systems). That is no error: nothing more can be done there, and the names are valid.
func SyncDir(path string) error {
	f, err := os.OpenFile(path, unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := syncFile(f); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// syncFile writes a file to the disk. Where the file system has no such call, that is no error: refusing would mean no backup at all,
// and whatever a power loss damages is found by its checksum. `check` warns of it.
func syncFile(f *os.File) error {
	if err := f.Sync(); !Unsupported(err) {
		return err
	}
	return nil
}

// Unsupported reports whether the file system does not have a call at all, as opposed to a call that failed.
func Unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS)
}

// renameNew never replaces a file: in a directory like /tmp, somebody may take the name after it was seen to be free. File systems that lack
// this system call's flag, such as NFS, have only that look.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %s", ErrExists, to)
	case Unsupported(err):
		return os.Rename(from, to)
	case err != nil:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
