package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Report is what Verify found in an archive that is whole.
type Report struct {
	Manifest Manifest
	Size     int64 // of the archive, bytes
	Database
}

// Verify reads an archive as a stranger would: the zstd data, the digests, then bbolt's check of every page, the
// revision and the keys of the unpacked database. The database lies for that time in a nameless file of scratch's
// file system, which leaves it minFree bytes and which no crash leaves behind. progress may be nil; it hears of the
// bytes unpacked so far and in all. Errors wrap ErrDamaged where the archive is at fault.
func Verify(ctx context.Context, f *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (r Report, err error) {
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	a, err := OpenArchive(f, info.Size())
	if err != nil {
		return r, err
	}
	r.Manifest, r.Size = a.Manifest, a.Size
	db, err := scratch.nameless()
	if err != nil {
		return r, err
	}
	// bbolt closes the file too; a second close is no trouble of the archive's.
	defer db.Close()
	if err := unpack(ctx, a, &spaceGuard{dir: scratch, w: db, minFree: minFree}, progress); err != nil {
		return r, err
	}
	r.Database, err = inspect(ctx, db)
	if err != nil {
		return r, err
	}
	if r.Revision < a.Manifest.Revision {
		return r, fmt.Errorf("%w: the database ends at revision %d, the manifest says %d", ErrDamaged, r.Revision, a.Manifest.Revision)
	}
	return r, nil
}

// unpack copies the whole of an archive's data to w, which proves its digests.
func unpack(ctx context.Context, a *Archive, w io.Writer, progress func(done, total int64)) (err error) {
	raw, err := a.Raw()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	buf := make([]byte, 1<<20)
	for done := int64(0); ; {
		n, readErr := raw.Read(buf)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		done += int64(n)
		if progress != nil {
			progress(done, a.Manifest.RawSize)
		}
		if errors.Is(readErr, io.EOF) {
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}

// nameless makes a file that has no name in the directory and so is gone with its last descriptor.
func (d *Dir) nameless() (*os.File, error) {
	f, err := os.OpenFile(d.path, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return f, err
	}
	// A file system that can't, as of NFS: it has a name for a moment.
	if f, err = os.CreateTemp(d.path, ".verify-*"); err != nil {
		return nil, fmt.Errorf("create scratch file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink scratch file: %w", err), f.Close())
	}
	return f, nil
}
