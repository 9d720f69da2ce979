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

// ScratchPrefix begins the name of a directory in which a drill works (snapshot/drill). List passes over it.
const ScratchPrefix = ".drill-"

const (
	// namedPrefix begins the name that a scratch file has for a moment where the file system makes none without.
	namedPrefix = ".verify-"
	// namedLongest is far more than that moment, whatever the file system's own clock says.
	namedLongest = time.Hour
)

// IsTemp tells the names that os.CreateTemp and os.MkdirTemp make of prefix+"*" from others with that beginning: a snapshot's file
// may lie in anybody's directory.
func IsTemp(name, prefix string) bool {
	number, ok := strings.CutPrefix(name, prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

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

// namedScratch tells the files that Scratch makes, which get no content while they have a name.
func namedScratch(f fs.DirEntry) bool {
	if !IsTemp(f.Name(), namedPrefix) || !f.Type().IsRegular() {
		return false
	}
	info, err := f.Info()
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
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
