package command

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// place is one that snapshots lie in, with what was listed there.
type place struct {
	name  string // local or s3
	where string // for errors
	snapshot.Listing
	store interface {
		Remove(ctx context.Context, n snapshot.Name) error
	}
	manifest func(ctx context.Context, e snapshot.Entry) (snapshot.Manifest, error)
	close    func()
}

func (p place) has(n snapshot.Name) bool {
	return slices.ContainsFunc(p.Snapshots, func(e snapshot.Entry) bool { return e.Name == n })
}

// listPlaces lists those that --from names, the local one first. Each is the caller's to close.
func listPlaces(c *cli.Context) ([]place, error) {
	local, remote, err := places(c)
	if err != nil {
		return nil, err
	}
	var all []place
	if local {
		p, err := listLocal(c)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if remote {
		p, err := listRemote(c)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func listLocal(c *cli.Context) (place, error) {
	dir, err := directory(c)
	if err != nil {
		return place{}, err
	}
	l, err := dir.List()
	return place{
		name: fromLocal, where: dir.Path(), Listing: l, store: dir, close: func() {},
		manifest: func(_ context.Context, e snapshot.Entry) (snapshot.Manifest, error) { return dir.Manifest(e.Name) },
	}, err
}

func listRemote(c *cli.Context) (place, error) {
	b, err := openBucket(c)
	if err != nil {
		return place{}, err
	}
	entries, err := b.List(c.Context)
	if err != nil {
		b.Close()
		return place{}, err
	}
	return place{
		name: fromS3, where: b.String(), Listing: snapshot.Listing{Snapshots: entries}, store: b, close: b.Close,
		manifest: func(ctx context.Context, e snapshot.Entry) (snapshot.Manifest, error) {
			return remoteManifest(ctx, b, e.Name)
		},
	}, nil
}

func remoteManifest(ctx context.Context, b *s3.Bucket, n snapshot.Name) (snapshot.Manifest, error) {
	tail, bytes, err := b.Tail(ctx, n)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	m, _, err := snapshot.DecodeTail(tail, bytes)
	return m, err
}
