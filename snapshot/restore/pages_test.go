package restore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// Whatever byte of a database is wrong, a restore reports it or can restore the rest, and leaves nothing behind. etcd's library would
// crash on many of them, for etcd's own file may have been broken when the snapshot was taken: its digest matches then.
func TestRestoreOfBrokenPagesIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 11))
	db := database(t, 300)
	refused := 0
	for range 60 {
		broken := bytes.Clone(db)
		at := r.IntN(len(db))/os.Getpagesize()*os.Getpagesize() + r.IntN(96) // the headers
		broken[at] ^= byte(1 + r.IntN(255))
		dir := t.TempDir()
		_, err := restored(t, given{data: broken}, Options{DataDir: dir + "/data", Size: -1})
		switch {
		case err == nil:
			continue
		case !errors.Is(err, snapshot.ErrDamaged):
			t.Errorf("byte %d is %#x and not %#x: %v, want ErrDamaged", at, broken[at], db[at], err)
		}
		refused++
		wantNames(t, dir, "")
	}
	if refused < 20 {
		t.Errorf("%d of 60 broken databases were refused", refused)
	}
}

// A database that ends before the revision of its manifest is of another etcd: a restore gives it the verdict of verify, except with --skip-hash-check.
func TestRestoreRefusesADatabaseOfAnotherEtcd(t *testing.T) {
	for _, x := range []struct {
		revision int64 // of the manifest; the database ends at 21
		skip     bool
		want     error
	}{{21, false, nil}, {20, false, nil}, {22, false, snapshot.ErrDamaged}, {22, true, nil}} {
		dir := t.TempDir()
		o := Options{
			DataDir: dir + "/data", Size: -1, SkipHashCheck: x.skip, Recorded: []snapshot.Member{voter("a", "http://h1:2380")},
			Manifest: &snapshot.Manifest{Source: snapshot.Source{Revision: x.revision}},
		}
		if _, err := restored(t, given{data: database(t, 20)}, o); !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("revision %d, skip %t: %v, want %v", x.revision, x.skip, err, x.want)
		}
		if x.want != nil {
			wantNames(t, dir, "")
		}
	}
}

// What verify calls damaged, a restore refuses: etcd would end on it, or its library in the middle of the restore.
func TestRestoreRefusesEntriesThatEtcdCannotRead(t *testing.T) {
	for what, change := range etcdtest.Unreadable() {
		path := filepath.Join(t.TempDir(), "db")
		must(t, os.WriteFile(path, database(t, 3), 0o600))
		db, err := bbolt.Open(path, 0o600, nil)
		must(t, err)
		must(t, db.Update(change))
		must(t, db.Close())
		broken, err := os.ReadFile(path)
		must(t, err)
		dir := t.TempDir()
		if _, err := restored(t, given{data: broken}, Options{DataDir: dir + "/data", Size: -1}); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
		wantNames(t, dir, "")
	}
}

// Raised, such a revision would be negative, and etcd's library does not look.
func TestRestoreRefusesARevisionThatCannotBeRaised(t *testing.T) {
	for _, revision := range []uint64{1 << 62, math.MaxInt64, math.MaxUint64} {
		if _, err := mainRevision(binary.BigEndian.AppendUint64(nil, revision)); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%d: %v, want ErrDamaged", revision, err)
		}
	}
	if got, err := mainRevision(binary.BigEndian.AppendUint64(nil, 1<<62-1)); err != nil || got != 1<<62-1 {
		t.Errorf("%d: %v", got, err)
	}
}

// To raise the revision, etcdutl adds an entry without a key. Snapshots of the restored cluster have it too, and are intact.
func TestDatabaseWithARaisedRevisionIsIntact(t *testing.T) {
	dir := t.TempDir()
	_, err := restored(t, given{data: database(t, 3)}, Options{DataDir: dir + "/data", Size: -1, BumpRevision: 1000, MarkCompacted: true})
	must(t, err)
	f, err := os.Open(dir + "/data/member/snap/db")
	must(t, err)
	if d, err := snapshot.Inspect(t.Context(), f); err != nil || d.Revision != 1004 || d.Keys != 1 {
		t.Errorf("%+v, %v; want 1 key at revision 1004", d, err)
	}
}
