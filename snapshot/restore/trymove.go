package restore

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/printable"
)

// tryMove tries whether the existing data can be renamed, before the work is done. The file system must refuse the rename, because
// its target is a directory with a file in it. If it refuses it for another reason, it would refuse the real one too: on overlayfs a
// directory of a lower layer gives EXDEV, and so does one that belongs to another project quota.
func (p place) tryMove() error {
	s, err := newStage(p.parent(), p.base()) // also makes room that a dead restore takes up
	if err != nil {
		return fmt.Errorf("try to rename %s: %w", p.swap, err)
	}
	err = move(s.parent, p.base(), s.parent, s.name)
	if err == nil { // no file system may do this; the staging directory is gone, and its name has the data
		err = errors.Join(errors.New("its file system replaces directories that are not empty"), move(s.parent, s.name, s.parent, p.base()), s.close(), s.parent.Close())
		return fmt.Errorf("%w: %s: %w", ErrTarget, p.swap, err)
	}
	_ = s.discard() // the next restore removes what is left
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%w: %w: the file system can't rename %s, for example because it is part of a container's image: move it aside yourself: %s",
			ErrTarget, err, p.swap, printable.Command("mv", "-T", p.swap, p.old))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.EBUSY), errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %s can't be renamed: %w", ErrTarget, p.swap, err)
	default:
		return fmt.Errorf("try to rename %s: %w", p.swap, err)
	}
}
