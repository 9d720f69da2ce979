package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
)

// at is a revision of etcd with its part.
type at struct{ main, sub int64 }

// entry is one entry of the bucket "key" of etcd's database. Its bytes are valid during the call that gets it.
type entry struct {
	at
	deleted         bool
	revision, value []byte // as in the bucket
	key             []byte
	lease           int64
}

// readEntry reads one that is in a database.
func readEntry(k, v []byte) (entry, error) {
	r, err := snapshot.ParseRevision(k)
	e := entry{at: at{r.Main, r.Sub}, deleted: r.Tombstone, revision: k, value: v}
	if err == nil {
		e.key, e.lease, err = keyAndLease(v)
	}
	if err != nil {
		return e, fmt.Errorf("%w: the entry %.40x of the bucket \"key\": %w", snapshot.ErrDamaged, k, err)
	}
	return e, nil
}

// eventEntry is what etcd stored for an event: sub is its number within its revision.
func eventEntry(r Record, sub int64) (e entry, err error) {
	e = entry{at: at{r.Revision, sub}, deleted: r.Kind == KindDelete, revision: revisionKey(r, sub), value: r.Data, key: r.Data}
	if e.deleted {
		e.value, err = proto.Marshal(&mvccpb.KeyValue{Key: r.Data})
	} else {
		e.key, e.lease, err = keyAndLease(r.Data)
	}
	if err != nil {
		return e, fmt.Errorf("%w: the event of revision %d: %w", snapshot.ErrDamaged, r.Revision, err)
	}
	return e, nil
}

// revisionKey is the key of an entry of the bucket "key".
func revisionKey(r Record, sub int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(r.Revision))    //nolint:gosec // positive
	b = binary.BigEndian.AppendUint64(append(b, '_'), uint64(sub)) //nolint:gosec // positive
	if r.Kind == KindDelete {
		b = append(b, 't')
	}
	return b
}

// keyDigest stands for a key. No two keys that anybody can find have the same.
type keyDigest [16]byte

func digestOf(key []byte) keyDigest {
	sum := sha256.Sum256(key)
	return keyDigest(sum[:16])
}
