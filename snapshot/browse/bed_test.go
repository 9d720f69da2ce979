package browse_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/member"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// take makes an archive of a member's snapshot.
func take(t testing.TB, m *etcdtest.Member) string {
	t.Helper()
	source, err := member.Connect(t.Context(), member.Config{Endpoints: []string{m.ClientURL}, Timeout: 10 * time.Second})
	must(t, err)
	defer source.Close()
	dir := snapshot.NewDir(t.TempDir())
	taken, err := snapshot.Take(t.Context(), source, dir, snapshot.TakeOptions{Set: "manual", Node: "node-a", Stall: time.Minute})
	must(t, err)
	return filepath.Join(dir.Path(), taken.Name.String())
}

// open opens an archive as the commands do.
func open(t testing.TB, path string) *browse.DB {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	in, err := input.Open(f, info.Size())
	must(t, err)
	d, proof, err := browse.Open(t.Context(), browse.Source{Input: in, Scratch: snapshot.NewDir(t.TempDir())})
	must(t, err)
	if !proof.Digest || proof.Damage != nil {
		t.Errorf("the proof of %s is %+v", path, proof)
	}
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// keys returns what a list has.
func keys(t testing.TB, l *browse.List) (all []browse.KeyValue) {
	t.Helper()
	must(t, l.Each(t.Context(), func(kv browse.KeyValue) error {
		kv.Key, kv.Value = []byte(string(kv.Key)), []byte(string(kv.Value))
		all = append(all, kv)
		return nil
	}))
	return all
}
