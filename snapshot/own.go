package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/regular"
)

// Somebody else may be able to write in a directory of ours, or may have been once. So no name there is trusted: a symbolic link would let
// this process, maybe root, write elsewhere, a pipe would block it forever, and a device may have no end.

// errNotOurs marks a name under which there is not a file of this program.
var errNotOurs = errors.New("not a file of this program: find out who put it there, and remove it")

// openFile opens a regular file, and nothing else, without waiting. Flags are those of open(2).
func openFile(path string, flags int) (*os.File, error) {
	f, err := regular.Open(path, flags|unix.O_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, notOurs(path+" is a symbolic link", err)
	case errors.Is(err, regular.ErrUnusable):
		errno, _ := errors.AsType[unix.Errno](err) // without ErrUnusable: it is no wrong setting
		return nil, notOurs(err.Error(), errno)
	}
	return f, err
}

// notOurs says what is there instead of a file.
func notOurs(what string, err error) error { return fmt.Errorf("%s: %w (%w)", what, errNotOurs, err) }

// openOwn is openFile for a file that only this program writes. It belongs to somebody who can replace it anyway.
func openOwn(path string, flags int) (*os.File, error) {
	f, err := openFile(path, flags)
	if err != nil {
		return nil, err
	}
	var file unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &file)
	if err == nil {
		var h host
		if h, err = hostOf(filepath.Dir(path)); err == nil && !h.trusts(file.Uid) {
			err = fmt.Errorf("%s belongs to user %d: %w", path, file.Uid, errNotOurs)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// onlyName refuses a file that has other names: writing into it could change a file elsewhere.
func onlyName(f *os.File) error {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return err
	}
	if s.Nlink > 1 {
		return fmt.Errorf("%s has %d names (hard links): %w", f.Name(), s.Nlink, errNotOurs)
	}
	return nil
}

// readOwn reads a file of openOwn that is not larger than limit.
func readOwn(path string, limit int64) ([]byte, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %s: %w", path, humanize.IBytes(uint64(limit)), errNotOurs) //nolint:gosec // a constant
	}
	return data, errors.Join(err, f.Close())
}
