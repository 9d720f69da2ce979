package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// CheckCreated refuses a directory that somebody else has put in the place of the one that this process has just created.
func CheckCreated(dir *os.File) error {
	names, err := dir.Readdirnames(1)
	if len(names) > 0 {
		return fmt.Errorf("%s was replaced by another user: it is not empty", dir.Name())
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	// Some file systems give everything another owner (NFS with root_squash, CIFS). There a new file has that owner too.
	const name = "owner"
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create a file in %s: %w", dir.Name(), err)
	}
	var s unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &s), unix.Unlinkat(int(dir.Fd()), name, 0), unix.Close(fd)); err != nil {
		return fmt.Errorf("create a file in %s: %w", dir.Name(), err)
	}
	if s.Uid != owner.Uid {
		return fmt.Errorf("%s was replaced by another user: it belongs to user %d", dir.Name(), owner.Uid)
	}
	return nil
}
