package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// BrokenSuffix ends the name of an archive file that was found damaged. The name keeps that fact across restarts, and no command
// uses the file as a snapshot again.
const BrokenSuffix = ".broken"

// Quarantine reads an archive a second time, in full, and renames it to NAME.broken if it is damaged (ErrDamaged). One of an
// unknown format, as a newer version writes it, keeps its name and wraps ErrFormat. It replaces an older NAME.broken. broken reports whether the file was renamed; syncing the
// directory may still return an error then. An intact archive keeps its name and is no error.
//
// After any other failure the file keeps its name too: a missing file wraps ErrNotFound, a failed read is the disk's error, and a
// file that was replaced or written to during the read is reported as changed, because nobody has read the new one.
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
	// The second read must come from the disk, not from the page cache that the first one filled. A file system may ignore this.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	damage := useArchive(f, before.Size(), func(a *Archive) error { return a.VerifyChecksum(ctx) })
	if !errors.Is(damage, ErrDamaged) {
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

// unchanged checks that the file under a path is still the same one: the same inode, which cannot be reused while the file is
// open, and the same size and time, because cp writes into an existing file.
func unchanged(path string, before fs.FileInfo) error {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: removed during the read", ErrNotFound, path)
	}
	if err != nil {
		return err
	}
	if !os.SameFile(before, now) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%s changed during the read", path)
	}
	return nil
}

// RemoveBroken deletes NAME.broken. A missing one wraps ErrNotFound.
func (d *Dir) RemoveBroken(ctx context.Context, n Name) error {
	return d.remove(ctx, d.file(n)+BrokenSuffix)
}
