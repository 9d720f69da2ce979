package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// compare opens two databases, whose files Compare closes.
func compare(t *testing.T, a, b string) (journal.Compared, error) {
	t.Helper()
	x, err := os.Open(a)
	must(t, err)
	y, err := os.Open(b)
	must(t, err)
	c, err := journal.Compare(t.Context(), x, y)
	for _, f := range []*os.File{x, y} {
		if again := f.Close(); !errors.Is(again, os.ErrClosed) {
			t.Errorf("%s was left open", f.Name())
		}
	}
	return c, err
}

// Only what a compaction removes may differ: here only one of the databases is compacted, or both are at different revisions.
func TestCompareAcceptsWhatACompactionRemoves(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			l := newLoad(b)
			l.run(100)
			b.compact0(b.head() - 60)
			b.record(0)
			base, from := b.base()
			l.run(150)
			b.waitFor(b.head())
			before, revision := b.base()
			b.compact0(revision - 20)
			after, _ := b.base()
			must(t, b.stop())
			path, m, err := merge(t, base, open(t, b.store, journal.Follow(b.names(), from)), revision)
			must(t, err)
			for name, next := range map[string]string{"not compacted": before, "compacted later": after} {
				c, err := compare(t, path, next)
				if err != nil || c.Revision != revision || c.Keys == 0 || c.Changes == 0 {
					t.Errorf("%s: %+v, %v; merged %+v", name, c, err, m)
				}
				if c, err := compare(t, next, path); err != nil {
					t.Errorf("%s, the other way: %+v, %v", name, c, err)
				}
			}
		})
	}
}

func TestCompareFindsEveryDifference(t *testing.T) {
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	l := newLoad(b)
	l.run(200)
	b.compact0(b.head() - 50)
	path, _ := b.base()
	for name, change := range map[string]func(keys *bbolt.Bucket) error{
		"the first value": func(keys *bbolt.Bucket) error {
			k, v := keys.Cursor().First()
			return keys.Put(k, flipped(v))
		},
		"the last value": func(keys *bbolt.Bucket) error {
			k, v := keys.Cursor().Last()
			return keys.Put(k, flipped(v))
		},
		"the first is missing": func(keys *bbolt.Bucket) error {
			k, _ := keys.Cursor().First()
			return keys.Delete(k)
		},
		"the last is missing": func(keys *bbolt.Bucket) error {
			k, _ := keys.Cursor().Last()
			return keys.Delete(k)
		},
		"one in the middle is missing": func(keys *bbolt.Bucket) error {
			c := keys.Cursor()
			k, _ := c.Last()
			for range 10 {
				k, _ = c.Prev()
			}
			return keys.Delete(k)
		},
	} {
		changed := filepath.Join(t.TempDir(), "changed")
		data, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(changed, data, 0o600))
		db, err := bbolt.Open(changed, 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("key"))) }))
		must(t, db.Close())
		for _, pair := range [][2]string{{path, changed}, {changed, path}} {
			if _, err := compare(t, pair[0], pair[1]); !errors.Is(err, journal.ErrDifferent) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := compare(t, path, os.DevNull); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("an empty file: %v", err)
	}
}

// flipped changes the last byte of the key in an entry, so that it stays one.
func flipped(v []byte) []byte {
	v = append([]byte{}, v...)
	n := int(v[1]) // the length of the key, the first field
	v[1+n] ^= 1
	return v
}

// compact0 compacts the live etcd, without waiting for the journal to know it.
func (b *bed) compact0(revision int64) {
	b.t.Helper()
	_, err := b.client.Compact(b.t.Context(), revision, clientv3.WithCompactPhysical())
	must(b.t, err)
	_, err = b.client.Defragment(b.t.Context(), b.cluster.Members[0].ClientURL)
	must(b.t, err)
}
