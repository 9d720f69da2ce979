// Package regular opens and reads files by names that somebody else may have chosen or exchanged.
//
// Invariants: a pipe is not waited for, a device is not read, and no more than a limit is read. What is checked is the open file, so nobody
// can exchange it between the check and the use.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// ErrUnusable marks what is there and cannot be used: not a regular file, or a file that is too large.
var ErrUnusable = errors.New("this program reads only regular files of a limited size")

// unusable is an ErrUnusable that prints its text alone.
type unusable struct {
	text  string
	errno unix.Errno
}

func (u unusable) Error() string { return u.text }

func (u unusable) Is(target error) bool { return target == ErrUnusable }

func (u unusable) Unwrap() error { return u.errno }

// Open opens a regular file, and nothing else, without waiting. Flags are those of open(2); symbolic links are followed unless they say
// otherwise. Errors are those of os.OpenFile, or ErrUnusable.
func Open(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600)
	switch {
	case errors.Is(err, unix.ENXIO): // a socket, or a pipe or device that has nobody at its other end
		return nil, notRegular(path, fs.ModeSocket)
	case errors.Is(err, unix.EISDIR):
		return nil, notRegular(path, fs.ModeDir)
	case err != nil:
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path, info.Mode())
	}
	if err == nil {
		err = unix.SetNonblock(int(f.Fd()), false) // a child that inherits the file expects that
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func notRegular(path string, mode fs.FileMode) error {
	what, errno := "a pipe, a socket or a device", unix.ENXIO
	if mode.IsDir() {
		what, errno = "a directory", unix.EISDIR
	}
	return unusable{fmt.Sprintf("%s is not a file, but %s", path, what), errno}
}

// Read returns the content of a file of at most limit bytes. Errors are those of Open and of reading.
func Read(path string, flags int, limit int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY|flags)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = unusable{fmt.Sprintf("%s is larger than %s", path, humanize.IBytes(uint64(limit))), unix.EFBIG} //nolint:gosec // G115: a constant of the caller
	}
	return data, errors.Join(err, f.Close())
}
