package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// verify asks what the server stored. It removes a wrong object, because under its name it would count as a good copy.
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

// settle handles an upload that somebody else has aborted, most likely a process that stored the same snapshot and then removed
// incomplete uploads. The upload has succeeded if the stored object is complete. An existing object belongs to the other process
// and stays, whatever it is.
func (u *upload) settle(ctx context.Context, pieces []piece) error {
	stored, err := u.stored(ctx)
	if err != nil {
		return err
	}
	buf := make([]byte, digestBuffer)
	for i := range pieces { // some of them were not read yet
		if ctx.Err() != nil {
			return fmt.Errorf("put %s: %w", u.name, context.Cause(ctx))
		}
		if err := pieces[i].digest(u.r, u.cfg.Checksum, buf); err != nil {
			return fmt.Errorf("put %s: %w", u.name, err)
		}
	}
	if err := u.verifyRead(pieces); err != nil {
		return err
	}
	err = u.compare(pieces, stored)
	if err == nil && u.cfg.Checksum == ChecksumMD5 && u.opaque(stored) {
		err = fmt.Errorf("%w: another process has stored an object there that cannot be compared", ErrBusy)
	}
	if err != nil {
		return u.explain(ctx, "put "+u.name.String(), "s3:GetObject", err)
	}
	return nil
}

// stored returns what the server has under the name.
func (u *upload) stored(ctx context.Context) (minio.ObjectInfo, error) {
	info, err := u.stat(ctx, "put", u.name)
	if errors.Is(err, snapshot.ErrNotFound) {
		err = u.explain(ctx, "put "+u.name.String(), "", fmt.Errorf("%w: another process has aborted the upload or removed the object", ErrBusy))
	}
	return info, err
}

// stat asks for size, checksum and lock; verb is the action for errors.
func (b *Bucket) stat(ctx context.Context, verb string, n snapshot.Name) (minio.ObjectInfo, error) {
	var info minio.ObjectInfo
	err := b.do(ctx, op{doing: verb + " " + n.String(), action: "s3:GetObject"}, func(ctx context.Context) (err error) {
		info, err = b.core.StatObject(ctx, b.cfg.Bucket, b.key(n), minio.StatObjectOptions{Checksum: b.cfg.Checksum != ChecksumMD5})
		return err
	})
	return info, err
}
