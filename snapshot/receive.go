package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Receive brings an archive of size bytes, which comes from elsewhere, into the directory as the file base. It gets its
// name only when every byte is proven; what was there under that name stays (ErrExists), but for the partial that a Receive
// of this snapshot left when it was killed. After an error nothing of it is left. An archive that is not whole wraps
// ErrDamaged. progress may be nil.
func (d *Dir) Receive(ctx context.Context, base string, r io.Reader, size, minFree int64, progress func(done, total int64)) (Manifest, error) {
	var m Manifest
	if base != filepath.Base(base) {
		return m, fmt.Errorf("%w: %q is no file's name", ErrName, base)
	}
	part, err := d.createAgain(ctx, base)
	if err != nil {
		return m, err
	}
	guard := &spaceGuard{dir: d, w: part, minFree: minFree}
	if m, err = part.fill(ctx, guard, r, size, progress); err != nil {
		return m, errors.Join(err, part.Abort())
	}
	return m, part.Commit(ctx)
}

// Fetch copies an archive of size bytes from elsewhere into a nameless file, to be verified.
func (d *Dir) Fetch(ctx context.Context, r io.Reader, size, minFree int64, progress func(done, total int64)) (*os.File, error) {
	f, err := d.Scratch()
	if err != nil {
		return nil, err
	}
	if err := copyExactly(ctx, &spaceGuard{dir: d, w: f, minFree: minFree}, r, size, progress); err != nil {
		return nil, errors.Join(fmt.Errorf("receive: %w", err), f.Close())
	}
	return f, nil
}

// fill copies and proves.
func (p *Part) fill(ctx context.Context, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) (Manifest, error) {
	if err := copyExactly(ctx, w, r, size, progress); err != nil {
		return Manifest{}, fmt.Errorf("receive %s: %w", p.base, err)
	}
	a, err := OpenArchive(p.file, size)
	if err != nil {
		return Manifest{}, err
	}
	return a.Manifest, a.Prove(ctx)
}

// copyExactly writes size bytes, no more and no less.
func copyExactly(ctx context.Context, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) error {
	var done int64
	counted := writerFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := w.Write(b)
		done += int64(n)
		if progress != nil {
			progress(done, size)
		}
		return n, err
	})
	// One byte more than announced is noticed and not written to the end.
	if _, err := io.CopyBuffer(counted, io.LimitReader(r, size+1), make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("after %d bytes: %w", done, err)
	}
	if done != size {
		return fmt.Errorf("%w: %d bytes came, not the %d announced", ErrDamaged, done, size)
	}
	return nil
}
