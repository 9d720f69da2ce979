package restore

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// change moves one directory that was built to its place.
type change struct {
	staged, target string
	old            string // where the existing data at target goes; "": there is none
}

// install makes all changes. If one fails, it undoes the others, so that the old data has its old name again. Old and new data
// exchange their names in one step. So after a crash one of them is at the target; an etcd that found nothing there would start
// an empty cluster.
func install(changes []change) error {
	for i, c := range changes {
		err := c.do()
		if err == nil {
			continue
		}
		err = fmt.Errorf("move the restored data to its place: %w", err)
		for done := i - 1; done >= 0; done-- {
			if undo := changes[done].undo(); undo != nil {
				err = errors.Join(err, fmt.Errorf("undo the previous step: %w", undo))
			}
		}
		return err
	}
	return nil
}

// do first gives the new data the name that the old data will have, then exchanges the two names.
func (c change) do() error {
	if c.old == "" {
		return move(c.staged, c.target)
	}
	if _, err := os.Lstat(c.old); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrOccupied, c.old)
	}
	if err := move(c.staged, c.old); err != nil {
		return err
	}
	err := exchange(c.old, c.target)
	if err == nil {
		return nil
	}
	return errors.Join(err, move(c.old, c.staged))
}

func (c change) undo() error {
	if c.old == "" {
		return move(c.target, c.staged)
	}
	return errors.Join(exchange(c.old, c.target), move(c.old, c.staged))
}

// exchange exchanges the names of two directories in one step. If the file system cannot do this, such as NFS, the target is
// missing for a moment.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return exchangeSlowly(a, b)
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}

func exchangeSlowly(a, b string) error {
	between := a + ".new"
	if err := move(a, between); err != nil {
		return err
	}
	if err := move(b, a); err != nil {
		return errors.Join(err, move(between, a))
	}
	if err := move(between, b); err != nil {
		return errors.Join(err, move(a, b), move(between, a))
	}
	return nil
}

// move is rename(2), which replaces an empty directory and no other; os.Rename replaces none.
func move(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
