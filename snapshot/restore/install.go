package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// change puts one directory that was built in its place.
type change struct {
	staged, target string
	old            string // where the data that is at target goes; "": there is none
}

// install makes all changes. What fails is undone, so that the old data is under its old name again. Old and new trade
// places at once: a crash leaves one of them at the target, and an etcd that is started then never finds nothing there and
// begins an empty cluster.
func install(changes []change) error {
	for i, c := range changes {
		err := c.do()
		if err == nil {
			continue
		}
		err = fmt.Errorf("put the restored data in its place: %w", err)
		for done := i - 1; done >= 0; done-- {
			if undo := changes[done].undo(); undo != nil {
				err = errors.Join(err, fmt.Errorf("take the step before back: %w", undo))
			}
		}
		return err
	}
	var errs []error
	for _, c := range changes {
		errs = append(errs, syncPath(filepath.Dir(c.target)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the data is in its place, and a power loss could undo that: %w", err)
	}
	return nil
}

// do first gives the new data the name that the old is to have, then exchanges the two.
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

// exchange lets two directories trade names at once. Where the file system can't, as NFS, there is a moment without a target.
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

// move is rename(2), which takes the place of an empty directory and of no other; os.Rename takes that of none.
func move(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
