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

// Create begins an archive under its partial name, 0600. A taken name wraps ErrExists, and ErrInUse while it is being written.
func (d *Dir) Create(ctx context.Context, n Name) (*Part, error) {
	p := &Part{dir: d, base: n.String()}
	return p, d.locked(ctx, p.begin)
}

// createAgain is Create for what is brought once more when its first writer died: that one's partial gives way.
func (d *Dir) createAgain(ctx context.Context, base string) (*Part, error) {
	p := &Part{dir: d, base: base}
	return p, d.locked(ctx, func() error {
		if _, err := ParseName(base); err == nil { // or else its .part may be anybody's file
			if _, err := removeAbandoned(p.partial()); err != nil {
				return fmt.Errorf("remove partial: %w", err)
			}
		}
		return p.begin()
	})
}

// begin makes the file. Under the directory's lock nobody sees it before its own lock is held.
func (p *Part) begin() (err error) {
	if err := p.nameFree(); err != nil {
		return err
	}
	p.file, err = os.OpenFile(p.partial(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return p.taken()
	}
	if err != nil {
		return fmt.Errorf("create snapshot: %w", err)
	}
	if err := tryLock(p.file); err != nil {
		return errors.Join(fmt.Errorf("lock %s: %w", p.file.Name(), err), p.discard())
	}
	return nil
}

// taken says whose the partial is that is in the way.
func (p *Part) taken() error {
	f, err := openAbandoned(p.partial())
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %w is writing %s: wait until it has ended, or end it", ErrExists, ErrInUse, p.base)
	}
	if err == nil {
		defer f.Close()
	}
	return fmt.Errorf("%w: %s is in the way, of a writer that died or of another user: remove it", ErrExists, p.partial())
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

func (p *Part) partial() string { return p.path() + partSuffix }

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

// RemovePartials clears what writers that died left behind and returns the file names. What a living process writes, of
// this daemon or of a save beside it, stays, and so does what this user may not touch.
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
		scratch, err := d.removeScratch()
		removed = append(removed, scratch...)
		return err
	})
	return removed, err
}

func removeAbandoned(path string) (bool, error) {
	f, err := openAbandoned(path)
	if err == nil {
		defer f.Close()
		err = os.Remove(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), // its writer has just ended
		errors.Is(err, unix.EWOULDBLOCK), // its writer lives
		errors.Is(err, fs.ErrPermission): // another user's
		return false, nil
	}
	return err == nil, err
}

// openAbandoned locks a partial whose writer is dead; unix.EWOULDBLOCK says that it lives. It is opened for writing, for NFS
// gives this lock to no reader, and waits for nothing, for a directory like /tmp may hold anything under that name.
func openAbandoned(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tryLock takes the lock that the kernel drops when the last holder of the open file ends.
func tryLock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
