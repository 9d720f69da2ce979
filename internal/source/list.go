package source

import (
	"context"
	"slices"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Listing is what was found in one place. It is the caller's to close.
type Listing struct {
	snapshot.Listing
	Place config.Place // Local or S3
	Where string       // for people

	remove   func(context.Context, snapshot.Name) error
	manifest func(context.Context, snapshot.Name) (snapshot.Manifest, error)
	close    func()
}

// Has tells whether the snapshot was there.
func (l Listing) Has(n snapshot.Name) bool {
	return slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == n })
}

// Remove deletes a snapshot. Errors wrap snapshot.ErrNotFound if it is not there.
func (l Listing) Remove(ctx context.Context, n snapshot.Name) error { return l.remove(ctx, n) }

// Manifest reads what a snapshot says of itself; in the bucket that takes a request.
func (l Listing) Manifest(ctx context.Context, n snapshot.Name) (snapshot.Manifest, error) {
	return l.manifest(ctx, n)
}

// Close lets go of the connection.
func (l Listing) Close() { l.close() }

// List lists the directory, unless dir is "", and then the bucket, unless it is nil.
func List(ctx context.Context, dir string, bucket *s3.Config) ([]Listing, error) {
	var all []Listing
	if dir != "" {
		l, err := listDir(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	if bucket != nil {
		l, err := listBucket(ctx, bucket)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func listDir(path string) (Listing, error) {
	dir := snapshot.NewDir(path)
	l, err := dir.List()
	return Listing{
		Place: config.Local, Where: dir.Path(), Listing: l, remove: dir.Remove, close: func() {},
		manifest: func(_ context.Context, n snapshot.Name) (snapshot.Manifest, error) { return dir.Manifest(n) },
	}, err
}

func listBucket(ctx context.Context, cfg *s3.Config) (Listing, error) {
	b, err := OpenBucket(cfg)
	if err != nil {
		return Listing{}, err
	}
	entries, err := b.List(ctx)
	if err != nil {
		b.Close()
		return Listing{}, err
	}
	manifest := func(ctx context.Context, n snapshot.Name) (snapshot.Manifest, error) {
		tail, size, err := b.Tail(ctx, n)
		if err != nil {
			return snapshot.Manifest{}, err
		}
		m, _, err := snapshot.DecodeTail(tail, size)
		return m, err
	}
	return Listing{
		Place: config.S3, Where: b.String(), Listing: snapshot.Listing{Snapshots: entries}, remove: b.Remove, manifest: manifest, close: b.Close,
	}, nil
}
