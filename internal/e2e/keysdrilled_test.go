package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// Archives of earlier versions do not say how many keys they have, but the daemon's drills have counted them. A manual prune of the bucket and
// check know that too, also of what only the bucket has.
func TestKeysThatDrillsCountedProtectTheBucketFromAManualPrune(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archives := snapshot.NewDir(filepath.Join("..", "..", "snapshot", "testdata"))
	old, err := snapshot.ParseName("manual_node-a.example_20261122T004417Z.db.zst")
	must(t, err)
	manifest, err := archives.Manifest(old)
	must(t, err)
	archive := filepath.Join(archives.Path(), old.String())
	info, err := os.Stat(archive)
	must(t, err)
	b, dir := m.bucket(t), newStore(t)
	must(t, os.Mkdir(dir, 0o700))
	var names []string
	var copies []status.Copy
	for _, age := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute} {
		n, err := snapshot.NewName(snapshot.RollingSet, node, time.Now().Add(-age))
		must(t, err)
		names, copies = append(names, n.String()), append(copies, status.Copy{Name: n, Size: info.Size(), Facts: manifest.Facts()})
	}
	b.plant(archive, names...)
	known, err := status.Open(snapshot.NewDir(dir), node, status.Options{Mirror: true})
	must(t, err)
	known.SetInventory(status.S3, copies, nil)
	for i, keys := range []int64{0, 0, 8000} {
		known.End(status.Drill, time.Now(), status.Outcome{Name: copies[i].Name, Keys: snapshot.Counted(keys)})
	}
	must(t, known.Save(snapshot.NewDir(dir), node))
	args := append(b.flags(m.server.Target), "--dir="+dir, "--node="+node)
	run(t, 0, []string{"from before the keys fell to less than half"}, words("prune", args, []string{"--from=s3", "--s3-keep-last=1"})...)
	b.has(names...)
	run(t, 1, []string{"the newest snapshot has 0 keys, less than half of the 8,000 before: if nobody deleted them on purpose, restore " + names[2]},
		words("check", args, []string{"--endpoints=http://127.0.0.1:1", "--etcd-timeout=1s", "--min-free=0", "--listen=off"})...)
}
