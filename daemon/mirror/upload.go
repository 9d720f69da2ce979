package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"

	"etcd-rolling-backup/snapshot"
)

// Upload verifies and uploads one archive, or a zip of another program under such a name; with replace, over an object of that name. It
// returns ErrLocalOnly for one taken with --no-mirror. [IsFileError] detects errors of the file other than damage.
func Upload(ctx context.Context, src Source, bucket Bucket, e snapshot.Entry, replace bool,
	progress func(n snapshot.Name, done, total int64),
) error {
	_, err := upload(ctx, src, bucket, e, replace, progress)
	return err
}

// upload also reports whether anything was sent; if not, the bucket had the archive before.
func upload(ctx context.Context, src Source, bucket Bucket, e snapshot.Entry, replace bool,
	progress func(n snapshot.Name, done, total int64),
) (sent bool, err error) {
	f, err := src.File(e.Name)
	if err != nil {
		return false, fmt.Errorf("mirror: %w", &fileError{err})
	}
	defer f.Close()
	a, err := snapshot.OpenNamed(e.Name, file{f}, e.Size)
	if err != nil {
		return false, fmt.Errorf("mirror %s: %w", e.Name, &fileError{err})
	}
	if a.Manifest.LocalOnly {
		return false, fmt.Errorf("mirror %s: %w", e.Name, ErrLocalOnly)
	}
	err = bucket.PutArchive(ctx, e.Name, a, replace, func(done, total int64) {
		sent = done > 0 // it decreases again when something was refused
		if progress != nil {
			progress(e.Name, done, total)
		}
	})
	return sent, err
}

// fileError marks an error of the file on the disk, because PutArchive returns errors of the file and of the bucket.
type fileError struct{ error }

func (e *fileError) Unwrap() error { return e.error }

// IsFileError reports whether an upload failed because of the file on the disk.
func IsFileError(err error) bool {
	var file *fileError
	return errors.As(err, &file)
}

// file marks read errors.
type file struct{ io.ReaderAt }

func (f file) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &fileError{err}
	}
	return n, err
}
