package e2e_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// The names of rke-tools, Rancher, k3s and a user, and what is in the state file.
const (
	rollingZip = "2026-01-10T10:00:00Z_etcd.zip"
	ourZip     = "2026-01-11T10:00:00Z_etcd.zip"
	rancherZip = "c-abcde-rl-xyz12_2026-01-12T10-00-00Z.zip"
	k3sZip     = "etcd-snapshot-node-a-1768300000.zip" // 2026-01-13
	namedZip   = "snap1.zip"
	stateText  = `{"desiredState": {"certificatesBundle": {}}}`
)

// zipBed has zips of several makes with one small database in them, and an archive of another time.
type zipBed struct {
	t       *testing.T
	pki     *etcdtest.Authority
	archive string
	raw     []byte
	want    state
	dir     string
}

func newZipBed(t *testing.T) *zipBed {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	_, err := client.Put(t.Context(), "/one", "value")
	must(t, err)
	b := &zipBed{t: t, want: stateOf(t, client)}
	b.pki, b.archive = peerBed(t, c)
	b.raw, err = os.ReadFile(unpack(t, b.archive))
	must(t, err)
	must(t, c.Members[0].Stop())
	return b
}

// fill makes a directory with one zip of each make.
func (b *zipBed) fill() *zipBed {
	b.t.Helper()
	b.dir = newStore(b.t)
	b.put(rollingZip, b.theirs("/backup/2026-01-10T10:00:00Z_etcd", zip.Deflate, true))
	b.put(ourZip, b.ours(ourZip))
	b.put(rancherZip, b.theirs("/backup/c-abcde-rl-xyz12_2026-01-12T10-00-00Z", zip.Deflate, true))
	b.put(k3sZip, b.theirs("etcd-snapshot-node-a-1768300000", zip.Deflate, false))
	b.put(namedZip, b.theirs("/backup/snap1", zip.Store, true))
	return b
}

func (b *zipBed) put(name string, data []byte) string {
	b.t.Helper()
	must(b.t, os.MkdirAll(b.dir, 0o700))
	path := filepath.Join(b.dir, name)
	must(b.t, os.WriteFile(path, data, 0o600))
	return path
}

// member adds a file to a zip.
func member(t testing.TB, w *zip.Writer, name string, method uint16, data []byte) {
	t.Helper()
	m, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
	must(t, err)
	_, err = m.Write(data)
	must(t, err)
}

// theirs is a zip as another program writes it.
func (b *zipBed) theirs(database string, method uint16, stateFile bool) []byte {
	b.t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	member(b.t, w, database, method, b.raw)
	if stateFile {
		member(b.t, w, "/etc/kubernetes/"+filepath.Base(database)+".rkestate", method, []byte(stateText))
	}
	must(b.t, w.Close())
	return out.Bytes()
}

// ours is a zip that is an archive, with the manifest of the bed's archive.
func (b *zipBed) ours(name string) []byte {
	b.t.Helper()
	f, err := os.Open(b.archive)
	must(b.t, err)
	defer f.Close()
	info, err := f.Stat()
	must(b.t, err)
	a, err := snapshot.OpenArchive(f, info.Size())
	must(b.t, err)
	n, err := snapshot.ParseName(name)
	must(b.t, err)
	var out bytes.Buffer
	w, err := snapshot.NewZipWriter(&out, n, time.Now())
	must(b.t, err)
	_, err = w.Write(bytes.Clone(b.raw))
	must(b.t, err)
	w.SetStateFile([]byte(stateText))
	m := a.Manifest
	m.Name, m.CreatedAt, m.Node = name, n.Time, ""
	_, err = w.Finish(m)
	must(b.t, err)
	return out.Bytes()
}

// wantSameFile compares a file with one of the directory.
func (b *zipBed) wantSameFile(path, name string) {
	b.t.Helper()
	got, err := os.ReadFile(path)
	must(b.t, err)
	want, err := os.ReadFile(filepath.Join(b.dir, name))
	must(b.t, err)
	if sha256.Sum256(got) != sha256.Sum256(want) {
		b.t.Errorf("%s is not a copy of %s", path, name)
	}
	wantMode(b.t, path, 0o600)
}
