package source

import (
	"context"
	"fmt"
	"io"
	"os"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// Remote is a snapshot that was found in the bucket or at a peer. It is the caller's to close.
type Remote struct {
	Entry snapshot.Entry
	Place string // for people: s3://BUCKET or HOST:PORT

	Close func() // lets go of the connection

	at  string // for errors
	get func(context.Context) (body io.ReadCloser, size int64, err error)
}

// OpenBucket reads the keys and certificates of the bucket as they are now. Errors wrap config.ErrUsage if there is no bucket.
func OpenBucket(b *s3.Config) (*s3.Bucket, error) {
	if b == nil {
		return nil, config.Usagef("--s3-bucket is empty: set it to the bucket that has the snapshots")
	}
	return s3.Open(*b)
}

// FindInBucket finds a snapshot in the bucket. Errors wrap snapshot.ErrNotFound if there is none.
func FindInBucket(ctx context.Context, cfg *s3.Config, find Finder) (*Remote, error) {
	b, err := OpenBucket(cfg)
	if err != nil {
		return nil, err
	}
	entries, err := b.List(ctx)
	if err != nil {
		b.Close()
		return nil, err
	}
	entry, err := find(snapshot.Listing{Snapshots: entries})
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("look in %s: %w", b, err)
	}
	return &Remote{
		Entry: entry, Place: "s3://" + cfg.Bucket, at: b.String(), Close: b.Close,
		get: func(ctx context.Context) (io.ReadCloser, int64, error) { return b.Get(ctx, entry.Name) },
	}, nil
}

// findAtPeer asks the peer for its one snapshot, which must be the one to find.
func findAtPeer(ctx context.Context, id peer.Identity, address string, find Finder) (*Remote, error) {
	client, err := peer.Dial(id, address)
	if err != nil {
		return nil, err
	}
	offer, err := client.Offer(ctx)
	if err != nil {
		return nil, err
	}
	name, err := snapshot.ParseName(offer.Name)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", address, err)
	}
	entry, err := find(snapshot.Listing{Snapshots: []snapshot.Entry{{Name: name, Size: offer.Size}}})
	if err != nil {
		return nil, fmt.Errorf("ask %s, which serves %s: %w", address, name, err)
	}
	return &Remote{
		Entry: entry, Place: address, at: address, Close: func() {},
		get: func(ctx context.Context) (io.ReadCloser, int64, error) {
			body, err := client.Get(ctx, offer)
			return body, offer.Size, err
		},
	}, nil
}

// Read hands the bytes to keep, which must read all of them.
func (r *Remote) Read(ctx context.Context, keep func(body io.Reader, size int64) error) error {
	body, size, err := r.get(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := keep(body, size); err != nil {
		return fmt.Errorf("download %s from %s: %w", r.Entry.Name, r.at, err)
	}
	return nil
}

// Fetch writes it to an anonymous temporary file on the disk of scratch, where minFree bytes stay free.
func (r *Remote) Fetch(ctx context.Context, scratch *snapshot.Dir, minFree int64, progress func(done, total int64)) (f *os.File, err error) {
	err = r.Read(ctx, func(body io.Reader, size int64) (err error) {
		f, err = scratch.Fetch(ctx, body, size, minFree, progress)
		return err
	})
	return f, err
}
