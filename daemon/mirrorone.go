package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"etcd-rolling-backup/snapshot"
)

// MirrorOne puts one archive, which proves it. One taken with --no-mirror gives ErrLocalOnly. What is the fault of the file is
// marked as such, and kept among the suspects.
func MirrorOne(ctx context.Context, src Source, bucket Bucket, e snapshot.Entry, o MirrorOptions) error {
	err := mirrorFile(ctx, src, bucket, e, o)
	switch {
	case o.Suspects == nil:
	case err == nil || errors.Is(err, snapshot.ErrNotFound):
		delete(o.Suspects, e)
	case errors.Is(err, snapshot.ErrDamaged) || isFileError(err):
		o.Suspects[e] = true
	}
	return err
}

func mirrorFile(ctx context.Context, src Source, bucket Bucket, e snapshot.Entry, o MirrorOptions) error {
	f, err := src.File(e.Name)
	if err != nil {
		return fmt.Errorf("mirror: %w", &fileError{err})
	}
	defer f.Close()
	a, err := snapshot.OpenArchive(file{f}, e.Size)
	if err != nil {
		return fmt.Errorf("mirror %s: %w", e.Name, &fileError{err})
	}
	if a.Manifest.LocalOnly {
		return fmt.Errorf("mirror %s: %w", e.Name, ErrLocalOnly)
	}
	// An upload finds out only after it has sent everything.
	if o.Suspects[e] {
		if err := a.VerifyChecksum(ctx); err != nil {
			return fmt.Errorf("mirror %s: %w", e.Name, err)
		}
	}
	var progress func(done, total int64)
	if o.Progress != nil {
		progress = func(done, total int64) { o.Progress(e.Name, done, total) }
	}
	return bucket.PutArchive(ctx, e.Name, a, progress)
}

// fileError marks an error as that of a file here, told apart from the bucket's where it arises: both come out of PutArchive.
type fileError struct{ error }

func (e *fileError) Unwrap() error { return e.error }

func isFileError(err error) bool {
	var file *fileError
	return errors.As(err, &file)
}

// file marks errors of reading.
type file struct{ io.ReaderAt }

func (f file) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &fileError{err}
	}
	return n, err
}
