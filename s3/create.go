package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// taken reports whether the archive is in the bucket already, for example because an earlier upload arrived and its answer did not.
// Any other object of that name is an ErrExists.
func (u *upload) taken(ctx context.Context, pieces []piece) (bool, error) {
	_, err := u.stat(ctx, "put", u.object, false)
	switch {
	case errors.Is(err, snapshot.ErrNotFound):
		return false, nil
	case errors.Is(err, ErrPermission):
		// Without s3:ListBucket for it, Amazon answers so for a missing object. Then only the condition protects the other one.
		return false, nil
	case err != nil:
		return false, err
	}
	stored, err := u.stored(ctx)
	if err != nil {
		return false, err
	}
	err = u.identical(ctx, pieces, stored)
	if errors.Is(err, ErrChecksum) {
		return false, u.exists(ctx)
	}
	return err == nil, err
}

func (u *upload) exists(ctx context.Context) error {
	return u.explain(ctx, u.reading(), fmt.Errorf("%w there with other contents, and is left as it is", snapshot.ErrExists))
}

// unlessTaken handles the answer to a request with If-None-Match: the object exists, which may be ours.
func (u *upload) unlessTaken(ctx context.Context, pieces []piece, err error) error {
	if !preconditionFailed(err) {
		return err
	}
	done, err := u.taken(ctx, pieces)
	if err == nil && !done {
		err = u.explain(ctx, u.reading(), fmt.Errorf("%w: another process has stored and removed the object meanwhile", ErrBusy))
	}
	return err
}

func preconditionFailed(err error) bool {
	res, ok := response(err)
	return ok && (res.StatusCode == http.StatusPreconditionFailed || res.Code == minio.PreconditionFailed)
}

// identical compares an object that another upload has stored with the archive: by its checksum, or by all bytes if it has none.
func (u *upload) identical(ctx context.Context, pieces []piece, stored minio.ObjectInfo) error {
	buf := make([]byte, digestBuffer)
	for i := range pieces { // some of them were not read yet
		if ctx.Err() != nil {
			return fmt.Errorf("put %s: %w", u.name, context.Cause(ctx))
		}
		if err := pieces[i].digest(u.r, u.mode(), buf); err != nil {
			return fmt.Errorf("put %s: %w", u.name, err)
		}
	}
	if err := u.verifyRead(pieces); err != nil {
		return err
	}
	err := u.compare(pieces, stored)
	if err == nil && u.opaque(stored) || errors.Is(err, errReadBack) {
		return u.readBack(ctx)
	}
	return err
}

// readBack compares every byte of the object with the archive.
func (u *upload) readBack(ctx context.Context) error {
	r, size, err := u.get(ctx, u.object)
	if err != nil {
		return err
	}
	defer r.Close()
	theirs, ours := make([]byte, digestBuffer), make([]byte, digestBuffer)
	for offset := int64(0); offset < size && size == u.size; {
		n, err := io.ReadFull(r, theirs[:min(digestBuffer, size-offset)])
		if err != nil {
			return err
		}
		if err := readAt(u.r, ours[:n], offset); err != nil {
			return fmt.Errorf("put %s: %w", u.name, err)
		}
		if !bytes.Equal(ours[:n], theirs[:n]) {
			return fmt.Errorf("%w: the stored object has other bytes at %d", ErrChecksum, offset)
		}
		offset += int64(n)
	}
	if size != u.size {
		return fmt.Errorf("%w: the stored object has %d bytes, not %d", ErrChecksum, size, u.size)
	}
	return nil
}
