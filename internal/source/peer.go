package source

import (
	"context"
	"fmt"
	"io"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// findAtPeer asks the peer for its one snapshot, which must be the one to find.
func findAtPeer(ctx context.Context, id peer.Identity, address string, find finder) (*Remote, error) {
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
		Entry: entry, Place: address, at: address, close: func() {},
		get: func(ctx context.Context) (io.ReadCloser, int64, error) {
			body, err := client.Get(ctx, offer)
			return body, offer.Size, err
		},
	}, nil
}
