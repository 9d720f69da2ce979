package drill

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// sampleSize is the smallest number of sampled entries, if the database has that many, and half of the largest number.
const sampleSize = 100

// contents describes the content of a snapshot's database.
type contents struct {
	revision int64
	hash     mvcc.KeyValueHash // of all that is not compacted, up to revision
	sample   []sampled
}

// sampled is a key as it is at the newest revision.
type sampled struct {
	key []byte
	sum [sha256.Size]byte // of the entry; a value may have 1.5 MiB
	has bool              // the key exists
}

// readDatabase lets etcd's store read a file, as "etcdutl hashkv" does. It opens the file for writing, because etcd's backend has
// no other way.
func readDatabase(ctx context.Context, log *zap.Logger, path string) (h contents, err error) {
	b := backend.NewDefaultBackend(log, path)
	defer func() { err = cmp.Or(err, b.Close()) }() // a later error is a consequence of the first
	store := mvcc.NewStore(log, b, noLeases{}, mvcc.StoreConfig{})
	defer func() { err = cmp.Or(err, store.Close()) }()
	h.revision = store.Rev()
	if h.hash, _, err = store.HashStorage().HashByRev(h.revision); err != nil {
		return h, fmt.Errorf("hash the snapshot: %w", err)
	}
	keys, err := sampleKeys(b)
	if err != nil {
		return h, err
	}
	for _, key := range keys {
		r, err := store.Range(ctx, key, nil, mvcc.RangeOptions{Rev: h.revision})
		if err != nil {
			return h, fmt.Errorf("read key %q of the snapshot: %w", key, err)
		}
		s, err := sampleOf(key, r.KVs)
		if err != nil {
			return h, err
		}
		h.sample = append(h.sample, s)
	}
	return h, nil
}

func sampleOf(key []byte, found []*mvccpb.KeyValue) (sampled, error) {
	s := sampled{key: key, has: len(found) == 1}
	if !s.has {
		return s, nil
	}
	entry, err := proto.MarshalOptions{Deterministic: true}.Marshal(found[0])
	if err != nil {
		return s, fmt.Errorf("key %q: %w", key, err)
	}
	s.sum = sha256.Sum256(entry)
	return s, nil
}

// sampleKeys reads all entries in the order of their revisions and takes keys at equal distances. If there are too many keys, it
// doubles the distance, because the number of entries is known only at the end.
func sampleKeys(b backend.Backend) ([][]byte, error) {
	var keys [][]byte
	distance, seen := 1, 0
	tx := b.ReadTx()
	tx.RLock()
	defer tx.RUnlock()
	err := tx.UnsafeForEach(schema.Key, func(revision, value []byte) error {
		seen++
		if (seen-1)%distance != 0 || mvcc.IsTombstone(revision) {
			return nil
		}
		var entry mvccpb.KeyValue
		if err := proto.Unmarshal(value, &entry); err != nil {
			return mismatch("the entry of revision %x: %v", revision, err)
		}
		if keys = append(keys, entry.GetKey()); len(keys) == 2*sampleSize {
			for i := range sampleSize {
				keys[i] = keys[2*i]
			}
			keys, distance = keys[:sampleSize], 2*distance
		}
		return nil
	})
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal), err // a key that changes often has many entries
}

// noLeases lets a store be read without the leases of its keys. Reading calls only these two methods.
type noLeases struct{ lease.Lessor }

func (noLeases) SetRangeDeleter(lease.RangeDeleter)            {}
func (noLeases) Attach(lease.LeaseID, []lease.LeaseItem) error { return nil }
