package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// The parent recognizes the same errors as the child, and of several the most important one.
func TestErrorsKeepTheirClassAcrossProcesses(t *testing.T) {
	onDisk := func(errno unix.Errno) error {
		return fmt.Errorf("drill: unpack: %w", &fs.PathError{Op: "write", Path: "/x", Err: errno})
	}
	for _, c := range []struct {
		err  error
		is   []error
		isnt []error
	}{
		{mismatch("revision %d", 7), []error{ErrContents, snapshot.ErrDamaged}, []error{ErrStart}},
		{blame(ErrStart, errors.New("x")), []error{ErrStart, snapshot.ErrDamaged}, []error{ErrContents}},
		{fmt.Errorf("x: %w", snapshot.ErrDamaged), []error{snapshot.ErrDamaged}, []error{ErrStart, ErrContents}},
		{snapshot.ErrFormat, []error{snapshot.ErrFormat}, []error{snapshot.ErrDamaged}},
		{enoughMemory(1 << 62), []error{ErrMemory, ErrSkipped}, nil},
		{fmt.Errorf("%w: x", ErrSkipped), []error{ErrSkipped}, []error{ErrMemory}},
		{snapshot.ErrLowSpace, []error{snapshot.ErrLowSpace}, []error{ErrSkipped}},
		{onDisk(unix.ENOSPC), []error{unix.ENOSPC}, []error{snapshot.ErrDamaged}},
		{onDisk(unix.EDQUOT), []error{unix.EDQUOT}, []error{unix.ENOSPC}},
		{onDisk(unix.EIO), []error{unix.EIO}, []error{unix.ENOSPC}},
		{onDisk(unix.EROFS), []error{unix.EROFS}, []error{unix.ENOSPC}},
		{errors.New("strange"), nil, []error{snapshot.ErrDamaged, ErrSkipped, unix.ENOSPC}},
		{errors.Join(onDisk(unix.EIO), context.Canceled, snapshot.ErrDamaged), []error{snapshot.ErrDamaged}, []error{unix.EIO}},
		{errors.Join(context.Canceled, onDisk(unix.EIO), snapshot.ErrLowSpace), []error{snapshot.ErrLowSpace}, []error{context.Canceled}},
	} {
		for range 10 { // the choice is none of chance's
			got := cross(t, c.err)
			if got.Error() != c.err.Error() {
				t.Fatalf("%q came as %q", c.err, got)
			}
			for _, want := range c.is {
				if !errors.Is(got, want) {
					t.Errorf("%q is no %q any more", c.err, want)
				}
			}
			for _, wrong := range c.isnt {
				if errors.Is(got, wrong) {
					t.Errorf("%q became %q", c.err, wrong)
				}
			}
		}
	}
}

// cross sends an error from child to parent.
func cross(t *testing.T, err error) error {
	t.Helper()
	var line bytes.Buffer
	must(t, (&messageWriter{w: &line}).send(failure(err)))
	var l messageReader
	if _, err := l.Write(line.Bytes()); err != nil || l.failed == nil {
		t.Fatalf("nothing came: %v, %v", err, l.invalid)
	}
	return l.failed
}
