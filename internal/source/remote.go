package source

import (
	"context"
	"fmt"
	"io"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// Remote is a snapshot that was found in the bucket or at a peer. It is the caller's to close.
type Remote struct {
	Entry snapshot.Entry
	Place string       // for people: s3://BUCKET/FOLDER or HOST:PORT
	From  config.Place // S3 or Peer

	Close func() // lets go of the connection

	get func(context.Context) (body io.ReadCloser, size int64, err error)
}

// Find finds the snapshot at the peer if there is one, else in the bucket, and fetches nothing. Errors wrap snapshot.ErrNotFound if there
// is none.
func Find(ctx context.Context, r Request) (*Remote, error) {
	if r.Peer != "" {
		return r.findAtPeer(ctx)
	}
	l, err := Places{Bucket: r.Bucket}.listBucket(ctx)
	if err != nil {
		return nil, err
	}
	entry, _, _, err := r.pick(ctx, []Listing{l})
	if err != nil {
		l.Close()
		return nil, err
	}
	r.noticeVersion(l, entry.Name)
	return l.remote(entry), nil
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
	entry := snapshot.Entry{Name: name, Size: offer.Size}
	if r.Reference != snapshot.Latest { // which is the only one, whatever time its name says
		if _, err := r.find(snapshot.Listing{Snapshots: []snapshot.Entry{entry}}); err != nil {
			return nil, fmt.Errorf("ask %s, which serves %s: %w", r.Peer, name, err)
		}
	}
	return &Remote{
		Entry: entry, Place: r.Peer, From: config.Peer, Close: func() {},
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
		return fmt.Errorf("download %s from %s: %w", r.Entry.Name, r.Place, err)
	}
	return nil
}

// fetch copies the snapshot into an anonymous file.
func (r Request) fetch(ctx context.Context, at *Remote) (*Opened, error) {
	defer at.Close()
	n := at.Entry.Name
	dir := r.Scratch
	if dir == "" {
		dir = r.Dir
	}
	o := &Opened{Snapshot: n, Name: n.String(), Place: at.Place, From: at.From, Scratch: ScratchAt(dir)}
	err := at.Read(ctx, func(body io.Reader, size int64) (err error) {
		if r.Room != nil {
			if err := r.Room(size); err != nil {
				return err
			}
		}
		o.File, err = o.Scratch.Fetch(ctx, body, size, r.MinFree, r.Progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}
