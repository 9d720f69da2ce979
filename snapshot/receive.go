package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Receive brings an archive of size bytes, which comes from elsewhere, into the directory as the file base. It gets its
// name only when every byte is proven; what was there under that name stays (ErrExists). After an error nothing of it is
// left. An archive that is not whole wraps ErrDamaged. progress may be nil.
func (d *Dir) Receive(ctx context.Context, base string, r io.Reader, size, minFree int64, progress func(done, total int64)) (Manifest, error) {
	var m Manifest
	if base != filepath.Base(base) {
		return m, fmt.Errorf("%w: %q is no file's name", ErrName, base)
	}
	part, err := d.create(ctx, base)
	if err != nil {
		return m, err
	}
	guard := &spaceGuard{dir: d, w: part, minFree: minFree}
	if m, err = part.fill(ctx, guard, r, size, progress); err != nil {
		return m, errors.Join(err, part.Abort())
	}
	return m, part.Commit(ctx)
}

// fill copies and proves.
func (p *Part) fill(ctx context.Context, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) (Manifest, error) {
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
		return Manifest{}, fmt.Errorf("receive %s after %d bytes: %w", p.base, done, err)
	}
	if done != size {
		return Manifest{}, fmt.Errorf("%w: %s has %d bytes, not the %d announced", ErrDamaged, p.base, done, size)
	}
	a, err := OpenArchive(p.file, size)
	if err != nil {
		return Manifest{}, err
	}
	return a.Manifest, a.Prove(ctx)
}
