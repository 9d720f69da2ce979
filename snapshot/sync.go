package snapshot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncDir writes the names in a directory to the disk. Some file systems cannot do this for directories and answer EINVAL or ENOTSUP
// (CIFS of old kernels, vboxsf, some FUSE file systems). That is no error: nothing more can be done there, and the names are valid.
func SyncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !SyncUnsupported(err) {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// SyncUnsupported reports whether the error of Sync says that the file system cannot do this for directories.
func SyncUnsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP)
}
