package fleet

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// verifiers is how many snapshots are read at a time.
const verifiers = 4

// verify reads the newest snapshot of each part in full, and stores nothing. It has no verdict on a file without our manifest.
func verify(ctx context.Context, b *s3.Bucket, parts []*part) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(verifiers)
	for _, p := range parts {
		if p.err != nil || p.origin.Format == "" {
			continue
		}
		g.Go(func() error {
			p.damage = verifyOne(ctx, b.In(p.folder), p.shown().Name)
			p.verified = p.damage == nil
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		})
	}
	return g.Wait()
}

func verifyOne(ctx context.Context, b *s3.Bucket, n snapshot.Name) (err error) {
	tail, size, err := b.Tail(ctx, n)
	if err != nil {
		return err
	}
	body, length, err := b.Get(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if length != size {
		return errChanged
	}
	return snapshot.VerifyStream(ctx, body, tail, size)
}

var errChanged = errors.New("it was replaced while it was read")
