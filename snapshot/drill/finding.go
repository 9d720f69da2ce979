package drill

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// What a drill can find in an intact archive. Such a snapshot is as useless as a damaged one, so both are a snapshot.ErrDamaged.
// Their texts do not say so, because no byte of the archive is wrong.
var (
	// ErrContents marks a snapshot whose restored content differs from its own.
	ErrContents error = &textError{"wrong contents", snapshot.ErrDamaged}
	// ErrStart marks a snapshot on which etcd cannot start or work.
	ErrStart error = &textError{"unusable by etcd", snapshot.ErrDamaged}
)

// textError is an error with its own text that wraps another one.
type textError struct {
	text string
	kind error // may be nil
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.kind }

// mismatch returns an ErrContents.
func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrContents}, args...)...)
}

// blame wraps err in fault, which blames the snapshot, unless the machine caused err.
func blame(fault, err error) error {
	for _, passing := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EROFS, unix.EFBIG} {
		if errors.Is(err, passing) {
			return err
		}
		// bbolt returns some of them as text only.
		if strings.HasSuffix(err.Error(), ": "+passing.Error()) {
			return &textError{err.Error(), passing}
		}
	}
	return fmt.Errorf("%w: %w", fault, err)
}
