package source

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// OpenBucket reads the keys and certificates of the bucket as they are now. Errors wrap config.ErrUsage if there is no bucket.
func OpenBucket(b *s3.Config) (*s3.Bucket, error) {
	if b == nil {
		return nil, config.Usagef("--s3-bucket is empty: set it to the bucket that has the snapshots")
	}
	return s3.Open(*b)
}

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

	get func(context.Context, snapshot.Name) (body io.ReadCloser, size int64, err error) // of the bucket
}

// Read is what a manifest says, or why it could not be read.
type Read struct {
	snapshot.Entry
	Manifest snapshot.Manifest
	Err      error
}

// Manifests reads those of some snapshots, several at a time, and returns them in the same order.
func (l Listing) Manifests(ctx context.Context, of []snapshot.Entry) []Read {
	out := make([]Read, len(of))
	var g errgroup.Group
	g.SetLimit(8)
	for i, e := range of {
		g.Go(func() error {
			m, err := l.Manifest(ctx, e.Name)
			out[i] = Read{Entry: e, Manifest: m, Err: err}
			return nil
		})
	}
	_ = g.Wait() // its goroutines return no error
	return out
}

// Has tells whether the snapshot was there.
func (l Listing) Has(n snapshot.Name) bool {
	return slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == n })
}

// List lists the directory, unless dir is "", and then the bucket, unless it is nil. The caller closes each.
func List(ctx context.Context, dir string, bucket *s3.Config) (all []Listing, err error) {
	var l Listing
	if dir != "" {
		if l, err = listDir(dir); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	if bucket != nil {
		if l, err = listBucket(ctx, bucket); err != nil {
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
		Place: config.S3, Where: b.String(), Listing: snapshot.Listing{Snapshots: entries}, Remove: b.Remove, Manifest: manifest, get: b.Get, Close: b.Close,
	}, nil
}

// Remote is a snapshot that was found in the bucket or at a peer. It is the caller's to close.
type Remote struct {
	Entry snapshot.Entry
	Place string // for people: s3://BUCKET or HOST:PORT

	Close func() // lets go of the connection

	at  string // for errors
	get func(context.Context) (body io.ReadCloser, size int64, err error)
}

// Find finds the snapshot at the peer if there is one, else in the bucket, and fetches nothing. Errors wrap snapshot.ErrNotFound if there
// is none.
func Find(ctx context.Context, r Request) (*Remote, error) {
	if r.Peer != "" {
		return r.findAtPeer(ctx)
	}
	l, err := listBucket(ctx, r.Bucket)
	if err != nil {
		return nil, err
	}
	entry, err := r.find(l.Listing)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("look in %s: %w", l.Where, err)
	}
	return &Remote{
		Entry: entry, Place: "s3://" + r.Bucket.Bucket, at: l.Where, Close: l.Close,
		get: func(ctx context.Context) (io.ReadCloser, int64, error) { return l.get(ctx, entry.Name) },
	}, nil
}

// findAtPeer asks the peer for its one snapshot, which must be the one to find.
func (r Request) findAtPeer(ctx context.Context) (*Remote, error) {
	id, err := r.Identity()
	if err != nil {
		return nil, err
	}
	client, err := peer.Dial(id, r.Peer)
	if err != nil {
		return nil, err
	}
	offer, err := client.Offer(ctx)
	if err != nil {
		return nil, err
	}
	name, err := snapshot.ParseName(offer.Name)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.Peer, err)
	}
	entry, err := r.find(snapshot.Listing{Snapshots: []snapshot.Entry{{Name: name, Size: offer.Size}}})
	if err != nil {
		return nil, fmt.Errorf("ask %s, which serves %s: %w", r.Peer, name, err)
	}
	return &Remote{
		Entry: entry, Place: r.Peer, at: r.Peer, Close: func() {},
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
