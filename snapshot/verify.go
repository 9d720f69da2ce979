package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Report is what Verify found in an intact archive.
type Report struct {
	Manifest Manifest
	Size     int64 // of the archive, bytes
	Database
}

// Verify reads an archive without trusting any of it: the zstd data, the digests, then bbolt's check of every page, the revision
// and the keys of the decompressed database. Meanwhile the database is in an anonymous temporary file in scratch's file system,
// which keeps minFree bytes free and which no crash leaves behind. progress may be nil; it receives the decompressed bytes so far
// and in total. Errors wrap ErrDamaged if the archive is at fault.
func Verify(ctx context.Context, f *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (Report, error) {
	db, err := scratch.Scratch()
	if err != nil {
		return Report{}, err
	}
	return VerifyInto(ctx, f, db, scratch, minFree, progress)
}

// VerifyInto is Verify for callers that need the decompressed database. It writes the database, followed by etcd's digest, to db,
// an empty file in scratch's file system. It closes db, even after an error.
func VerifyInto(ctx context.Context, f, db *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (r Report, err error) {
	// bbolt closes the file too. The error of a second close means nothing.
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
		return r, fmt.Errorf("%w: the last revision of the database is %d, before %d as in the manifest", ErrDamaged, r.Revision, a.Manifest.Revision)
	}
	return r, nil
}

// PageCachePiece is how many bytes of a database are written at a time. For larger writes newer kernels fill the page cache in
// blocks of megabytes. A virtual machine must first get those from its host, which makes writing several times slower.
const PageCachePiece = 32 << 10

// unpack copies all of an archive's data to w, which verifies its digests.
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
