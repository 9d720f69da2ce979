package snapshot_test

import (
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Whatever is in the record of restores: it is read or is an error, and after a restore was recorded, that record is read.
func FuzzRestoredNote(f *testing.F) {
	f.Add(`[{"cluster_id":"1","predecessors":["2","3"],"snapshot":"rolling_n_20261121T000000Z.db.zst","at":"2026-11-21T00:00:00Z"}]`)
	f.Add(`[{"cluster_id":"ffffffffffffffff","predecessors":null},{"cluster_id":"ffffffffffffffff"}]`)
	f.Add(`null`)
	f.Add(`[[]]`)
	f.Fuzz(func(t *testing.T, text string) {
		d := newDir(t)
		if err := os.WriteFile(filepath.Join(d.Path(), ".restored.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Predecessors(1); err != nil {
			return
		}
		if err := d.RecordRestore(snapshot.Restored{ClusterID: 1, Predecessors: []snapshot.ID{2}}); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Predecessors(1); err != nil || len(got) != 1 || got[0] != 2 {
			t.Fatalf("the record is %v, %v", got, err)
		}
	})
}
