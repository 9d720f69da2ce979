package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// BrokenSuffix ends the name of a file that was an archive and is damaged: the file system remembers what was found, and
// nothing takes the file for a snapshot again.
const BrokenSuffix = ".broken"

// Quarantine reads an archive a second time, in full, and renames it to NAME.broken if it is damaged (ErrDamaged) or of an unknown
// format (ErrFormat). It replaces an older NAME.broken. broken reports whether the file was renamed; an error may still follow,
// of syncing the directory. An archive that proves intact stays and is no error.
//
// Whatever else goes wrong leaves the file under its name: a missing one wraps ErrNotFound, a failed read is the disk's error,
// and a file that was replaced or written to while it was being read is reported as changed, since nobody has read the new one.
func (d *Dir) Quarantine(ctx context.Context, n Name) (broken bool, err error) {
	f, err := d.File(n)
	if err != nil {
		return false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("quarantine snapshot: %w", err)
	}
	// The second read must come from the disk, not from the memory that the first one filled. A file system may ignore this.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	damage := useArchive(f, before.Size(), func(a *Archive) error { return a.Prove(ctx) })
	if !errors.Is(damage, ErrDamaged) && !errors.Is(damage, ErrFormat) {
		return false, damage
	}
	err = d.locked(ctx, func() error {
		if err := unchanged(d.file(n), before); err != nil {
			return err
		}
		if err := os.Rename(d.file(n), d.file(n)+BrokenSuffix); err != nil {
			return err
		}
		broken = true
		return d.sync()
	})
	if err != nil {
		return broken, fmt.Errorf("quarantine snapshot (%w): %w", damage, err)
	}
	return broken, nil
}

// unchanged compares the file under a path with what it was: the same inode, as long as somebody holds it open, and the same content,
// as far as size and time show, because cp writes into the existing file.
func unchanged(path string, before fs.FileInfo) error {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: removed while it was being read", ErrNotFound, path)
	}
	if err != nil {
		return err
	}
	if !os.SameFile(before, now) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%s changed while it was being read", path)
	}
	return nil
}

// RemoveBroken deletes NAME.broken. A missing one wraps ErrNotFound.
func (d *Dir) RemoveBroken(ctx context.Context, n Name) error {
	return d.remove(ctx, d.file(n)+BrokenSuffix)
}
