package drill_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// take puts a snapshot of one member into a directory of its own.
func take(t testing.TB, m *etcdtest.Member, user, password string) string {
	t.Helper()
	c := member.Config{Endpoints: []string{m.ClientURL}, User: user, Timeout: 10 * time.Second}
	if user != "" {
		c.Password = member.Secret(password)
	}
	source, err := member.Connect(t.Context(), c)
	must(t, err)
	defer source.Close()
	dir := snapshot.NewDir(t.TempDir())
	taken, err := snapshot.Take(t.Context(), source, dir, snapshot.TakeOptions{Set: "manual", Node: "node-a", Stall: time.Minute})
	must(t, err)
	return filepath.Join(dir.Path(), taken.Name.String())
}

// small is a snapshot of an etcd of the newest version with some keys.
func small(t testing.TB) string {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	for i := range 20 {
		_, err := client.Put(t.Context(), fmt.Sprintf("/key/%02d", i), strings.Repeat("value", 100))
		must(t, err)
	}
	return take(t, c.Members[0], "", "")
}

// repack makes an archive, right in itself, of a changed database.
func repack(t testing.TB, archive string, change func(path string)) string {
	t.Helper()
	f, err := os.Open(archive)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	a, err := snapshot.OpenArchive(f, info.Size())
	must(t, err)
	raw, err := a.Raw()
	must(t, err)
	data, err := io.ReadAll(raw)
	must(t, err)
	must(t, raw.Close())
	path := filepath.Join(t.TempDir(), "db")
	must(t, os.WriteFile(path, data[:len(data)-sha256.Size], 0o600))
	change(path)
	data, err = os.ReadFile(path)
	must(t, err)
	sum := sha256.Sum256(data)
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out)
	must(t, err)
	for _, part := range [][]byte{data, sum[:]} {
		_, err := w.Write(part)
		must(t, err)
	}
	m := a.Manifest
	_, err = w.Finish(m)
	must(t, err)
	packed := filepath.Join(t.TempDir(), filepath.Base(archive))
	must(t, os.WriteFile(packed, out.Bytes(), 0o600))
	return packed
}
