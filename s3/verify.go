package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// verify asks what the server keeps. What is wrong is removed, for under its name it would count as a good copy.
func (u *upload) verify(ctx context.Context, pieces []piece) error {
	stored, err := u.stored(ctx)
	if err != nil {
		return err
	}
	if err := u.compare(pieces, stored); err != nil {
		return errors.Join(u.explain(ctx, "put "+u.name.String(), "s3:GetObject", err), u.delete(ctx, u.name))
	}
	return nil
}

// settle comes to an upload that somebody else has ended on its way, most likely one who brought the same snapshot and then
// cleared: it is done if all of it is there. What is there is theirs and stays, whatever it is.
func (u *upload) settle(ctx context.Context, pieces []piece) error {
	stored, err := u.stored(ctx)
	if err != nil {
		return err
	}
	buf := make([]byte, digestBuffer)
	for i := range pieces { // not all of them had their turn
		if ctx.Err() != nil {
			return fmt.Errorf("put %s: %w", u.name, context.Cause(ctx))
		}
		if err := pieces[i].digest(u.r, u.cfg.Checksum, buf); err != nil {
			return fmt.Errorf("put %s: %w", u.name, err)
		}
	}
	if err := u.prove(pieces); err != nil {
		return err
	}
	err = u.compare(pieces, stored)
	if err == nil && u.cfg.Checksum == ChecksumMD5 && u.opaque(stored) {
		err = fmt.Errorf("%w: somebody else has put an object there that can't be compared", ErrBusy)
	}
	if err != nil {
		return u.explain(ctx, "put "+u.name.String(), "s3:GetObject", err)
	}
	return nil
}

// stored is what lies under the name.
func (u *upload) stored(ctx context.Context) (minio.ObjectInfo, error) {
	info, err := u.stat(ctx, "put", u.name)
	if errors.Is(err, snapshot.ErrNotFound) {
		err = u.explain(ctx, "put "+u.name.String(), "", fmt.Errorf("%w: somebody else has aborted the upload or removed the object", ErrBusy))
	}
	return info, err
}

// stat asks for size, checksum and lock; verb is what for.
func (b *Bucket) stat(ctx context.Context, verb string, n snapshot.Name) (minio.ObjectInfo, error) {
	var info minio.ObjectInfo
	err := b.do(ctx, op{doing: verb + " " + n.String(), action: "s3:GetObject"}, func(ctx context.Context) (err error) {
		info, err = b.core.StatObject(ctx, b.cfg.Bucket, b.key(n), minio.StatObjectOptions{Checksum: b.cfg.Checksum != ChecksumMD5})
		return err
	})
	return info, err
}
