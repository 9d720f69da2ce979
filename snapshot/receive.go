package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Receive writes an archive of size bytes, which comes from elsewhere, into the directory as the file base. The file gets its
// name only after every byte is verified. An existing file of that name stays (ErrExists), except for the partial file of a
// Receive of this snapshot that was killed. After an error nothing of the archive is left. A damaged archive wraps ErrDamaged.
// progress may be nil.
func (d *Dir) Receive(ctx context.Context, base string, r io.Reader, size, minFree int64, progress func(done, total int64)) (Manifest, error) {
	var m Manifest
	if base != filepath.Base(base) {
		return m, fmt.Errorf("%w: %q is not a file name", ErrName, base)
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

// Fetch copies an archive of size bytes from elsewhere into an anonymous temporary file, in order to verify it.
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

// fill copies and verifies.
func (p *Part) fill(ctx context.Context, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) (Manifest, error) {
	if err := copyExactly(ctx, w, r, size, progress); err != nil {
		return Manifest{}, fmt.Errorf("receive %s: %w", p.base, err)
	}
	a, err := OpenArchive(p.file, size)
	if err != nil {
		return Manifest{}, err
	}
	return a.Manifest, a.VerifyChecksum(ctx)
}

// copyExactly writes size bytes, no more and no less.
func copyExactly(ctx context.Context, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) error {
	// One byte more than announced is detected; the rest is not read.
	done, err := copyWithin(ctx, w, io.LimitReader(r, size+1), copyPiece, size, progress)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", done, err)
	}
	if done != size {
		return fmt.Errorf("%w: received %d bytes, not the %d announced", ErrDamaged, done, size)
	}
	return nil
}

// copyPiece is how many bytes are read at a time if the page cache does not matter.
const copyPiece = 1 << 20

// copyWithin copies pieces until io.EOF or until ctx ends. progress may be nil; it receives the bytes so far, and size.
func copyWithin(ctx context.Context, w io.Writer, r io.Reader, piece int, size int64, progress func(done, total int64)) (done int64, err error) {
	return io.CopyBuffer(writerFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := w.Write(b)
		done += int64(n)
		if progress != nil {
			progress(done, size)
		}
		return n, err
	}), r, make([]byte, piece))
}
