package snapshot_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// asEtcd are the options that etcd opens its database with, but for the syncing.
func asEtcd() *bbolt.Options { return &bbolt.Options{NoFreelistSync: true, NoSync: true} }

func TestVerifyReports(t *testing.T) {
	b := newBench(t)
	for _, revisions := range []int{0, 1, 2, 10, 100, keyRing - 1, keyRing, keyRing + 1, 5000} {
		last := int64(revisions) + 1
		db := etcdDatabase(t, revisions)
		r, err := b.verify(t.Context(), archive(t, withDigest(db), manifestA(last)))
		must(t, err)
		if r.Revision != last || r.Keys != keysIn(revisions) || r.Database.Size != int64(len(db)) || r.Hash == 0 {
			t.Errorf("%d revisions: %+v, want revision %d, %d keys, %d bytes", revisions, r.Database, last, keysIn(revisions), len(db))
		}
		if r.Manifest.Name != nameA().String() || r.Manifest.RawSize != int64(len(db)+32) {
			t.Errorf("%d revisions: manifest %+v", revisions, r.Manifest)
		}
	}
}

// A compaction may have removed the newest revision, which was a deletion; another one stays, marked.
func TestVerifyCountsDeletions(t *testing.T) {
	for name, c := range map[string]struct {
		fill     func(*bbolt.Tx) error
		revision int64
		keys     int
	}{
		"compacted": {func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("finishedCompactRev"), revisionKey(9))
		}, 9, 0},
		"deleted": {func(tx *bbolt.Tx) error {
			return errors.Join(
				putRevision(tx, revisionKey(2), []byte("/a"), []byte("1")),
				putRevision(tx, revisionKey(3), []byte("/b"), []byte("2")),
				putRevision(tx, append(revisionKey(4), 't'), []byte("/a"), nil),
			)
		}, 4, 1},
		"written again": {func(tx *bbolt.Tx) error {
			return errors.Join(
				putRevision(tx, append(revisionKey(4), 't'), []byte("/a"), nil),
				putRevision(tx, revisionKey(5), []byte("/a"), []byte("3")),
			)
		}, 5, 1},
	} {
		db := database(t, asEtcd(), etcdBuckets, c.fill)
		r, err := newBench(t).verify(t.Context(), archive(t, withDigest(db), manifestA(c.revision)))
		if err != nil || r.Revision != c.revision || r.Keys != c.keys {
			t.Errorf("%s: %+v and %v, want revision %d and %d keys", name, r.Database, err, c.revision, c.keys)
		}
	}
}

// Databases of every shape that bbolt writes are whole: with a free list on disk, overflow pages, deep trees, after churn.
func TestVerifyAcceptsWhatBboltWrites(t *testing.T) {
	r := random(t)
	for _, o := range []*bbolt.Options{asEtcd(), {NoSync: true}, {NoSync: true, PageSize: 16 << 10}, {NoSync: true, PageSize: 1 << 10}} {
		var fills []func(*bbolt.Tx) error
		for round := range 20 {
			fills = append(fills, func(tx *bbolt.Tx) error {
				key := tx.Bucket([]byte("key"))
				for range 200 {
					main := 2 + r.Int64N(2000)
					if r.IntN(3) == 0 {
						if err := key.Delete(revisionKey(main)); err != nil {
							return err
						}
						continue
					}
					if err := putRevision(tx, revisionKey(main), []byte("/k"), make([]byte, r.IntN(10)*r.IntN(1000))); err != nil {
						return err
					}
				}
				_, err := tx.CreateBucketIfNotExists(fmt.Appendf(nil, "more%d", round))
				return err
			})
		}
		fills = append([]func(*bbolt.Tx) error{etcdBuckets}, fills...)
		_, err := newBench(t).verify(t.Context(), archive(t, withDigest(database(t, o, fills...)), manifestA(1)))
		if err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// The digests match, so etcd itself sent it this way.
func TestVerifyRefusesOtherDatabases(t *testing.T) {
	put := func(bucket string, key, value []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(key, value) }
	}
	for name, db := range map[string][]byte{
		"zeros":            make([]byte, 512),
		"more zeros":       make([]byte, 64<<10),
		"random":           partlyRandom(rand.New(rand.NewPCG(1, 1)), 64<<10),
		"a single page":    etcdDatabase(t, 1)[:4096],
		"cut in half":      etcdDatabase(t, 100)[:8*4096],
		"no buckets":       database(t, asEtcd()),
		"other buckets":    database(t, asEtcd(), func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("kine")); return err }),
		"no meta":          database(t, asEtcd(), etcdBuckets, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("meta")) }),
		"no revision":      database(t, asEtcd(), etcdBuckets, put("key", []byte("short"), []byte("v"))),
		"no key":           database(t, asEtcd(), etcdBuckets, put("key", revisionKey(2), []byte("v"))),
		"half a key":       database(t, asEtcd(), etcdBuckets, put("key", revisionKey(2), []byte{0x0a, 9, 'k'})),
		"bad compaction":   database(t, asEtcd(), etcdBuckets, put("meta", []byte("finishedCompactRev"), []byte{9})),
		"no such revision": database(t, asEtcd(), etcdBuckets, put("key", revisionKey(1<<62), []byte{0x0a, 1, 'k'})),
		"a negative one":   database(t, asEtcd(), etcdBuckets, put("key", revisionKey(-1), []byte{0x0a, 1, 'k'})),
		"a bucket inside of the keys": database(t, asEtcd(), etcdBuckets, func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("key")).CreateBucket(revisionKey(2))
			return err
		}),
	} {
		mustBeDamaged(t, newBench(t), archive(t, withDigest(db), manifestA(1)), "%s", name)
	}
}

// FuzzDatabase overwrites parts of a database and corrects the digests: 3 bytes are the offset, 8 the content.
func FuzzDatabase(f *testing.F) {
	const edit = 11
	db := etcdDatabase(f, 30)
	packedSize := len(db)
	f.Add([]byte{})
	f.Add(make([]byte, edit))
	f.Add(binary.BigEndian.AppendUint64([]byte{0, 0x30, 0}, 1<<40))
	b := newBench(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		broken := append([]byte(nil), db...)
		for ; len(edits) >= edit; edits = edits[edit:] {
			at := (int(edits[0])<<16 | int(edits[1])<<8 | int(edits[2])) % (packedSize - 8)
			copy(broken[at:], edits[3:edit])
		}
		repairMeta(broken)
		_, err := b.verify(t.Context(), archive(t, withDigest(broken), manifestA(1)))
		if err != nil && !errors.Is(err, snapshot.ErrDamaged) {
			t.Fatalf("%v, want a report or ErrDamaged", err)
		}
	})
}
