package journal

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"google.golang.org/protobuf/proto"
)

// fallbackTTL is for a lease that had expired before etcd was asked for its time.
const fallbackTTL = 60

// leases adds those that keys have and the snapshot has not. Without them, the keys would never expire, and a put that leaves such a key its
// lease would end etcd, at each start again.
func (g *merge) leases() error {
	missing := map[int64]bool{}
	for _, id := range g.leased {
		missing[id] = true
	}
	if err := g.out.bucket(lease); err != nil {
		return err
	}
	old := g.tx.Bucket([]byte(lease))
	for id := range missing {
		k := binary.BigEndian.AppendUint64(nil, uint64(id)) //nolint:gosec // etcd's own form of an ID
		if old != nil && old.Get(k) != nil {
			continue
		}
		ttl := g.ttl[id]
		if ttl <= 0 {
			ttl = fallbackTTL
		}
		v, err := proto.Marshal(&leasepb.Lease{ID: id, TTL: ttl})
		if err != nil {
			return fmt.Errorf("encode a lease: %w", err)
		}
		if err := g.out.put(lease, k, v); err != nil {
			return err
		}
		g.Leases++
	}
	return nil
}
