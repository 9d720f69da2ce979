package source

import (
	"context"
	"slices"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Listing is what was found in one place.
type Listing struct {
	snapshot.Listing
	Place config.Place // Local or S3
	Where string       // for people

	// Remove deletes one; a missing one wraps snapshot.ErrNotFound.
	Remove func(context.Context, snapshot.Name) error
	// Manifest reads what one says of itself; in the bucket that takes a request.
	Manifest func(context.Context, snapshot.Name) (snapshot.Manifest, error)
	Close    func()
}

// Has tells whether the snapshot was there.
func (l Listing) Has(n snapshot.Name) bool {
	return slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == n })
}

// List lists the directory, unless dir is "", and then the bucket, unless it is nil. The caller closes each.
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
		Place: config.Local, Where: dir.Path(), Listing: l, Remove: dir.Remove, Close: func() {},
		Manifest: func(_ context.Context, n snapshot.Name) (snapshot.Manifest, error) { return dir.Manifest(n) },
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
		Place: config.S3, Where: b.String(), Listing: snapshot.Listing{Snapshots: entries}, Remove: b.Remove, Manifest: manifest, Close: b.Close,
	}, nil
}
