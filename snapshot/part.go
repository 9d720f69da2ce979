package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Part is an archive being written. Its file is locked as long as its writer lives: that is how
// RemovePartials, here or in another process, tells a dead writer's file from one in use.
type Part struct {
	dir  *Dir
	base string // the file's final name
	file *os.File
}

// Create begins an archive under its partial name, 0600. A taken name wraps ErrExists.
func (d *Dir) Create(ctx context.Context, n Name) (*Part, error) { return d.create(ctx, n.String()) }

func (d *Dir) create(ctx context.Context, base string) (*Part, error) {
	p := &Part{dir: d, base: base}
	return p, d.locked(ctx, func() (err error) {
		if err := p.nameFree(); err != nil {
			return err
		}
		p.file, err = os.OpenFile(p.path()+partSuffix, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %s is being written: two snapshots in one second", ErrExists, base)
		}
		if err != nil {
			return fmt.Errorf("create snapshot: %w", err)
		}
		// Under the directory's lock nobody sees the file before its own lock is held.
		if err := tryLock(p.file); err != nil {
			return errors.Join(fmt.Errorf("lock %s: %w", p.file.Name(), err), p.discard())
		}
		return nil
	})
}

// Write appends to the archive.
func (p *Part) Write(b []byte) (int, error) { return p.file.Write(b) }

// Commit brings the archive to the disk, then to its final name. A crash before the rename leaves a
// partial, after it the whole snapshot; there is no state between. After an error the partial is gone.
func (p *Part) Commit(ctx context.Context) error {
	if err := p.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync snapshot: %w", err), p.Abort())
	}
	err := p.dir.locked(ctx, func() error {
		if err := p.nameFree(); err != nil {
			return err
		}
		return os.Rename(p.file.Name(), p.path())
	})
	if err != nil {
		return errors.Join(fmt.Errorf("name snapshot: %w", err), p.Abort())
	}
	return errors.Join(p.dir.sync(), p.file.Close())
}

// Abort removes the partial.
func (p *Part) Abort() error {
	if err := p.discard(); err != nil {
		return fmt.Errorf("remove partial: %w", err)
	}
	return nil
}

func (p *Part) discard() error {
	return errors.Join(os.Remove(p.file.Name()), p.file.Close())
}

func (p *Part) path() string { return filepath.Join(p.dir.path, p.base) }

func (p *Part) nameFree() error {
	_, err := os.Lstat(p.path())
	if err == nil {
		return fmt.Errorf("%w: %s", ErrExists, p.path())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for %s: %w", p.base, err)
	}
	return nil
}

// RemovePartials clears what writers that died left behind and returns the file names. Partials that a
// living process writes, of this daemon or of a save beside it, stay.
func (d *Dir) RemovePartials(ctx context.Context) (removed []string, err error) {
	err = d.locked(ctx, func() error {
		l, err := d.List()
		if err != nil {
			return err
		}
		for _, name := range l.Partials {
			gone, err := removeAbandoned(filepath.Join(d.path, name))
			if err != nil {
				return fmt.Errorf("remove partial: %w", err)
			}
			if gone {
				removed = append(removed, name)
			}
		}
		return nil
	})
	return removed, err
}

func removeAbandoned(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // its writer has just ended
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	switch err := tryLock(f); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, os.Remove(path)
}

// tryLock takes the lock that the kernel drops when the last holder of the open file ends.
func tryLock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
