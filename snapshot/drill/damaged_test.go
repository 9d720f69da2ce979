package drill_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// Archives that are intact, digests included, but contain a database that no etcd can use. Only what decompression detects counts
// as damage of the archive.
func TestDamagedDatabase(t *testing.T) {
	archive := small(t)
	for text, change := range map[string]func(*bbolt.Tx) error{
		"drill: unpack: damaged: etcd can't read the entry": etcdtest.Unreadable()["a finished compaction of zeros"],
		"drill: unpack: damaged: no bucket":                 func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("key")) },
		"drill: boot: unusable by etcd: etcd gave up: invalid downgrade": func(tx *bbolt.Tx) error { // valid, but of a later etcd
			return tx.Bucket([]byte("cluster")).Put([]byte("clusterVersion"), []byte("9.0.0"))
		},
	} {
		packed := repack(t, archive, func(path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			must(t, err)
			must(t, db.Update(change))
			must(t, db.Close())
		})
		_, err := newBench(t, packed).start(t)
		wantError(t, err, snapshot.ErrDamaged, text)
		if whole := !strings.Contains(text, "unpack"); errors.Is(err, drill.ErrStart) != whole {
			t.Errorf("got %v, which says that etcd can't work with it: %t", err, !whole)
		}
	}
}

func TestDamagedPages(t *testing.T) {
	packed := repack(t, small(t), func(path string) {
		data, err := os.ReadFile(path)
		must(t, err)
		clear(data[2*4096 : len(data)-4096])
		must(t, os.WriteFile(path, data, 0o600))
	})
	_, err := newBench(t, packed).start(t)
	wantError(t, err, snapshot.ErrDamaged, "")
}

// The parent or the child detects a damaged archive.
func TestDamagedArchive(t *testing.T) {
	whole, err := os.ReadFile(small(t))
	must(t, err)
	for text, at := range map[string]int{"manifest": len(whole) - 10, "drill: unpack: damaged": 100} {
		broken := append([]byte(nil), whole...)
		broken[at] ^= 1
		path := t.TempDir() + "/broken"
		must(t, os.WriteFile(path, broken, 0o600))
		_, err := newBench(t, path).start(t)
		wantError(t, err, snapshot.ErrDamaged, text)
	}
}
