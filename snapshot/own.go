package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// Somebody else may be able to write in a directory of ours, or may have been once. So no name there is trusted: a symbolic link would let
// this process, maybe root, write elsewhere, a pipe would block it forever, and a device may have no end.

// errNotOurs marks a name under which there is not a file of this program.
var errNotOurs = errors.New("not a file of this program: find out who put it there, and remove it")

// openFile opens a regular file, and nothing else, without waiting. Flags are those of open(2).
func openFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EISDIR):
		return nil, notOurs(path, err)
	case err != nil:
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notOurs(path, unix.ENXIO)
		if info.IsDir() {
			err = notOurs(path, unix.EISDIR)
		}
	}
	if err == nil {
		err = unix.SetNonblock(int(f.Fd()), false) // a child that inherits the file expects that
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// notOurs explains what open(2) says of a name that is not a file: ELOOP for a symbolic link, and ENXIO for most other things.
func notOurs(path string, err error) error {
	what := "a directory"
	switch {
	case errors.Is(err, unix.ELOOP):
		what = "a symbolic link"
	case errors.Is(err, unix.ENXIO):
		what = "a pipe, a socket or a device"
	}
	return fmt.Errorf("%s is %s: %w (%w)", path, what, errNotOurs, err)
}

// openOwn is openFile for a file that only this program writes. It belongs to this user, root or the owner of the directory, who can
// replace it anyway.
func openOwn(path string, flags int) (*os.File, error) {
	f, err := openFile(path, flags)
	if err != nil {
		return nil, err
	}
	var file, dir unix.Stat_t
	err = errors.Join(unix.Fstat(int(f.Fd()), &file), unix.Stat(filepath.Dir(path), &dir))
	if err == nil && file.Uid != 0 && int(file.Uid) != os.Geteuid() && file.Uid != dir.Uid {
		err = fmt.Errorf("%s belongs to user %d: %w", path, file.Uid, errNotOurs)
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

// ownDir refuses a directory in which other users can replace files. In one with the sticky bit, such as /tmp or a new tmpfs, they can only
// create files, which are not followed.
func ownDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unusable(err)
	}
	others := info.Mode().Perm() & 0o022
	if s, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() != 0 && os.Geteuid() != int(s.Uid) {
		others &^= 0o020 // this process may write there only because of its group, as in a volume of Kubernetes with fsGroup
	}
	if others == 0 || info.Mode()&fs.ModeSticky != 0 || !info.IsDir() {
		return nil
	}
	return fmt.Errorf("%w: other users can replace files in %s (mode %s): chmod go-w %s, or mount it with umask=077 if that has no effect",
		ErrUnusableDir, path, info.Mode(), path)
}
