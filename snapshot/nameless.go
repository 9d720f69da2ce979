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

const (
	// namedPrefix begins the name that a scratch file has for a moment where the file system makes none without.
	namedPrefix = ".verify-"
	// namedLongest is far more than that moment, whatever the file system's own clock says.
	namedLongest = time.Hour
)

// Scratch makes a file that has no name in the directory and so is gone with its last descriptor.
func (d *Dir) Scratch() (*os.File, error) {
	f, err := os.OpenFile(d.path, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return f, err
	}
	// A file system that can't, as of NFS: it has a name for a moment.
	if f, err = os.CreateTemp(d.path, namedPrefix+"*"); err != nil {
		return nil, fmt.Errorf("create scratch file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink scratch file: %w", err), f.Close())
	}
	return f, nil
}

// namedScratch tells the names that os.CreateTemp makes for Scratch from others with that beginning.
func namedScratch(f fs.DirEntry) bool {
	number, ok := strings.CutPrefix(f.Name(), namedPrefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == "" && f.Type().IsRegular()
}

// removeScratch removes scratch files whose maker died before it took their name away: they are old, and empty, for nothing
// is written before that.
func (d *Dir) removeScratch() (removed []string, err error) {
	files, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("look for scratch files: %w", err)
	}
	for _, f := range files {
		if !namedScratch(f) {
			continue
		}
		info, err := f.Info()
		if err == nil {
			if info.Size() > 0 || time.Since(info.ModTime()) < namedLongest {
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
