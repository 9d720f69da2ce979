package drill

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// What a drill can find in an archive that is whole. Such a snapshot is worth no more than a damaged one, so both are a
// snapshot.ErrDamaged; their texts don't say so, for no byte of the archive is at fault.
var (
	// ErrContents marks a snapshot from which something else came back than it holds.
	ErrContents error = &worded{"wrong contents", snapshot.ErrDamaged}
	// ErrStart marks a snapshot that etcd can't start or work on.
	ErrStart error = &worded{"unusable by etcd", snapshot.ErrDamaged}
)

// worded is an error with a text of its own.
type worded struct {
	text string
	kind error // may be nil
}

func (e *worded) Error() string { return e.text }
func (e *worded) Unwrap() error { return e.kind }

// differs is the finding that a drill is made for.
func differs(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrContents}, args...)...)
}

// blame says with fault that the snapshot is at fault, unless the machine is.
func blame(fault, err error) error {
	for _, passing := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EROFS, unix.EFBIG} {
		if errors.Is(err, passing) {
			return err
		}
		// bbolt gives some of them as text only.
		if strings.HasSuffix(err.Error(), ": "+passing.Error()) {
			return &worded{err.Error(), passing}
		}
	}
	return fmt.Errorf("%w: %w", fault, err)
}
