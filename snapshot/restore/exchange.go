package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// change moves one directory that was built to its place, which is next to its staging directory.
type change struct {
	stage  *stage
	staged string // its path in the staging directory
	target string // a name in the stage's parent
	old    string // the name there for the existing data; "": there is none
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
		return move(c.stage.lock, c.staged, c.stage.parent, c.target)
	}
	var s unix.Stat_t
	if err := unix.Fstatat(int(c.stage.parent.Fd()), c.old, &s, unix.AT_SYMLINK_NOFOLLOW); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: %s", ErrOccupied, filepath.Join(c.stage.parent.Name(), c.old))
	}
	if err := move(c.stage.lock, c.staged, c.stage.parent, c.old); err != nil {
		return err
	}
	err := exchange(c.stage.parent, c.old, c.target)
	if err == nil {
		return nil
	}
	return errors.Join(err, c.takeBack(c.old))
}

func (c change) undo() error {
	if c.old == "" {
		return c.takeBack(c.target)
	}
	return errors.Join(exchange(c.stage.parent, c.old, c.target), c.takeBack(c.old))
}

// takeBack moves what was built back to the staging directory.
func (c change) takeBack(name string) error {
	return move(c.stage.parent, name, c.stage.lock, c.staged)
}

// exchange exchanges two names in a directory in one step. If the file system cannot do this, such as NFS, the target is missing for a
// moment.
func exchange(dir *os.File, a, b string) error {
	err := unix.Renameat2(int(dir.Fd()), a, int(dir.Fd()), b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return exchangeSlowly(dir, a, b)
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: filepath.Join(dir.Name(), a), New: filepath.Join(dir.Name(), b), Err: err}
	}
	return nil
}

func exchangeSlowly(dir *os.File, a, b string) error {
	between := a + ".new"
	if err := move(dir, a, dir, between); err != nil {
		return err
	}
	if err := move(dir, b, dir, a); err != nil {
		return errors.Join(err, move(dir, between, dir, a))
	}
	if err := move(dir, between, dir, b); err != nil {
		return errors.Join(err, move(dir, a, dir, b), move(dir, between, dir, a))
	}
	return nil
}

// move is renameat(2), which replaces an empty directory and no other; os.Rename replaces none.
func move(fromDir *os.File, from string, toDir *os.File, to string) error {
	if err := unix.Renameat(int(fromDir.Fd()), from, int(toDir.Fd()), to); err != nil {
		return &os.LinkError{Op: "rename", Old: filepath.Join(fromDir.Name(), from), New: filepath.Join(toDir.Name(), to), Err: err}
	}
	return nil
}
