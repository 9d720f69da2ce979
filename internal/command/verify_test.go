package command

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// Times are shown in UTC, whatever the zone in the manifest.
func TestVerifyShowsUTC(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("key"))
		_, metaErr := tx.CreateBucket([]byte("meta"))
		return errors.Join(err, metaErr)
	}))
	must(t, db.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	taken := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	name, err := snapshot.NewName("manual", "n1", taken)
	must(t, err)
	packed, err := os.Create(filepath.Join(dir, name.String()))
	must(t, err)
	w, err := snapshot.NewWriter(packed)
	must(t, err)
	sum := sha256.Sum256(data)
	_, err = w.Write(append(data, sum[:]...))
	must(t, err)
	_, err = w.Finish(snapshot.Manifest{Name: name.String(), CreatedAt: taken.In(time.FixedZone("", 2*60*60)), Node: "n1"})
	must(t, err)
	must(t, packed.Close())
	status, out, errs := run(t.Context(), "verify", "--min-free=0", packed.Name())
	if status != exitDone || !strings.Contains(out, "taken 2026-11-21 22:00:00 UTC") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}
