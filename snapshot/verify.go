package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
func Verify(ctx context.Context, f *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (Report, error) {
	db, err := scratch.Scratch()
	if err != nil {
		return Report{}, err
	}
	return VerifyInto(ctx, f, db, scratch, minFree, progress)
}

// VerifyInto is Verify for callers that go on with the unpacked database: it lies in db, an empty file on scratch's file
// system, followed by etcd's digest. It closes db, also after an error.
func VerifyInto(ctx context.Context, f, db *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (r Report, err error) {
	// bbolt closes the file too; a second close is no trouble of the archive's.
	defer db.Close()
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	a, err := OpenArchive(f, info.Size())
	if err != nil {
		return r, err
	}
	r.Manifest, r.Size = a.Manifest, a.Size
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

// PageCachePiece is how many bytes of a database are written at once. For larger writes newer kernels fill the page cache by
// blocks of megabytes; a virtual machine has to get those from its host first, which makes writing several times slower.
const PageCachePiece = 32 << 10

// unpack copies the whole of an archive's data to w, which proves its digests.
func unpack(ctx context.Context, a *Archive, w io.Writer, progress func(done, total int64)) (err error) {
	raw, err := a.Raw()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	buf := make([]byte, PageCachePiece)
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
