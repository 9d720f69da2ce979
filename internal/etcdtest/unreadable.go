package etcdtest

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// Revision is the key of an entry in etcd's bucket "key".
func Revision(main, sub uint64) []byte {
	return binary.BigEndian.AppendUint64(append(binary.BigEndian.AppendUint64(nil, main), '_'), sub)
}

// Unreadable returns changes of a database, by what they are: its pages stay valid, and each puts an entry there on which an etcd ends
// when it starts, or worse. The revisions of the database are between 2 and 1<<32.
func Unreadable() map[string]func(*bbolt.Tx) error {
	const late = 1 << 32
	put := func(bucket string, key, value []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err != nil {
				return err
			}
			return b.Put(key, value)
		}
	}
	all := func(changes ...func(*bbolt.Tx) error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			for _, change := range changes {
				if err := change(tx); err != nil {
					return err
				}
			}
			return nil
		}
	}
	valid, ff, zeros, id := []byte("\x0a\x01k"), bytes.Repeat([]byte{0xff}, 64), make([]byte, 64), make([]byte, 8)
	return map[string]func(*bbolt.Tx) error{
		"a value that is no protobuf":    put("key", Revision(late, 0), ff),
		"a value that is cut off":        put("key", Revision(late, 0), []byte{0x0a, 9, 'k'}),
		"a deletion that is no protobuf": put("key", append(Revision(late, 0), 't'), ff),
		"a revision with a wrong mark":   put("key", append(Revision(late, 0), 'x'), valid),
		"a short revision":               put("key", []byte("short"), valid),
		"a revision without its mark":    put("key", bytes.Replace(Revision(late, 0), []byte("_"), []byte("-"), 1), valid),
		"a negative revision":            put("key", Revision(1<<63, 0), valid),
		"a negative sub revision":        put("key", Revision(late, 1<<63), valid),
		"two changes of one revision":    all(put("key", Revision(late, 0), valid), put("key", append(Revision(late, 0), 't'), valid)),
		"a bucket in place of a value": func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("key")).CreateBucket(Revision(late, 0))
			return err
		},
		"a finished compaction of zeros":      put("meta", []byte("finishedCompactRev"), zeros),
		"an empty finished compaction":        put("meta", []byte("finishedCompactRev"), nil),
		"a scheduled compaction of one byte":  put("meta", []byte("scheduledCompactRev"), []byte{1}),
		"a scheduled compaction far ahead":    put("meta", []byte("scheduledCompactRev"), Revision(1<<63-1, 0)),
		"an empty scheduled compaction":       put("meta", []byte("scheduledCompactRev"), nil),
		"a lease":                             put("lease", id, ff),
		"an alarm":                            put("alarm", ff, nil),
		"a short authRevision":                put("auth", []byte("authRevision"), []byte{1}),
		"a user":                              put("authUsers", []byte("u"), ff),
		"a role":                              put("authRoles", []byte("r"), ff),
		"a cluster version":                   put("cluster", []byte("clusterVersion"), bytes.Repeat([]byte("a"), 1<<20)),
		"a downgrade that is no JSON":         put("cluster", []byte("downgrade"), []byte("{")),
		"a downgrade to nowhere":              put("cluster", []byte("downgrade"), []byte(`{"target-version":"x","enabled":true}`)),
		"a member that is no JSON":            put("members", []byte("abc"), []byte("{")),
		"a member whose ID is no number":      put("members", []byte("xyz"), []byte(`{"id":5,"peerURLs":["http://127.0.0.1:1"]}`)),
		"a removed member without a number":   put("members_removed", []byte("zz"), []byte("removed")),
		"a member that is a bucket of others": func(tx *bbolt.Tx) error { return nested(tx, "members", "abc") },
	}
}

func nested(tx *bbolt.Tx, bucket, inside string) error {
	b, err := tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	_, err = b.CreateBucket([]byte(inside))
	return err
}
