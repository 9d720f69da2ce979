package snapshot

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Duplicate returns a second descriptor of an open file, which the caller closes.
func Duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
