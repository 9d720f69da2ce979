package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ScratchPrefix begins the name of the directory of a drill (snapshot/drill). List skips it.
const ScratchPrefix = ".drill-"

const (
	// namedPrefix begins the name that a scratch file has for a moment on file systems without anonymous files.
	namedPrefix = ".verify-"
	// namedLongest is much longer than that moment, even if the file system's clock differs.
	namedLongest = time.Hour
)

// IsTemp reports whether os.CreateTemp or os.MkdirTemp made this name from prefix+"*". Other names with the same prefix may be
// anybody's files.
func IsTemp(name, prefix string) bool {
	number, ok := strings.CutPrefix(name, prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// Scratch creates an anonymous temporary file (O_TMPFILE) in the directory's file system. It disappears when it is closed.
func (d *Dir) Scratch() (*os.File, error) {
	if f, err := os.OpenFile(d.path, unix.O_TMPFILE|os.O_RDWR, 0o600); err == nil {
		return f, nil
	}
	// The file system cannot do this, for example NFS, and answers with any of several errors: the file has a name for a moment.
	f, err := os.CreateTemp(d.path, namedPrefix+"*")
	if err != nil {
		return nil, d.explainSpace(fmt.Errorf("create scratch file: %w", err))
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink scratch file: %w", err), f.Close())
	}
	return f, nil
}

// isTempFile reports whether Scratch or Probe made the file. Those of Scratch are empty while they have a name, those of Probe small.
func isTempFile(f fs.DirEntry) bool {
	largest := int64(0)
	if IsTemp(strings.TrimSuffix(f.Name(), partSuffix), probePrefix) {
		largest = probeSize
	} else if !IsTemp(f.Name(), namedPrefix) {
		return false
	}
	if !f.Type().IsRegular() {
		return false
	}
	info, err := f.Info()
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= largest
}

// removeTempFiles removes what processes left that died before they removed it. Only old files are.
func (d *Dir) removeTempFiles(files []fs.DirEntry) (removed []string, err error) {
	for _, f := range files {
		info, err := f.Info()
		if err == nil {
			if time.Since(info.ModTime()) < namedLongest {
				continue
			}
			err = os.Remove(filepath.Join(d.path, f.Name()))
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		case err != nil:
			return removed, fmt.Errorf("remove scratch file: %w", err)
		default:
			removed = append(removed, f.Name())
		}
	}
	return removed, nil
}
