package e2e_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/internal/etcdtest"
)

// formBed has one snapshot in all forms.
type formBed struct {
	t       *testing.T
	c       *etcdtest.Cluster
	archive string
	raw     []byte // as etcdctl writes it
	want    state
}

func newFormBed(t *testing.T) *formBed {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	value := make([]byte, 16<<10) // does not compress: most of the archive is data
	_, err := rand.Read(value)
	must(t, err)
	_, err = client.Put(t.Context(), "/registry/one", string(value))
	must(t, err)
	b := &formBed{t: t, c: c, archive: saved(t, c), want: stateOf(t, client)}
	b.raw, err = os.ReadFile(unpack(t, b.archive))
	must(t, err)
	must(t, c.Members[0].Stop())
	return b
}

// file writes what a test makes, under a name that says nothing.
func (b *formBed) file(data []byte) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "some.bin")
	must(b.t, os.WriteFile(path, data, 0o600))
	return path
}

// entry is one member of a zip archive.
type entry struct {
	name string
	data io.Reader
}

func (b *formBed) zip(entries ...entry) string {
	b.t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		f, err := w.Create(e.name)
		must(b.t, err)
		_, err = io.Copy(f, e.data)
		must(b.t, err)
	}
	must(b.t, w.Close())
	return b.file(out.Bytes())
}

// claim makes a zip archive with a database that says to be as large.
func (b *formBed) claim(size uint64) string {
	b.t.Helper()
	var packed, out bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.BestSpeed)
	must(b.t, err)
	_, err = deflate.Write(b.raw)
	must(b.t, err)
	must(b.t, deflate.Close())
	w := zip.NewWriter(&out)
	f, err := w.CreateRaw(&zip.FileHeader{
		Name: "etcd-snapshot", Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: size/512*512 + 32,
	})
	must(b.t, err)
	_, err = f.Write(packed.Bytes())
	must(b.t, err)
	must(b.t, w.Close())
	return b.file(out.Bytes())
}

func (b *formBed) db(name string) entry { return entry{name, bytes.NewReader(b.raw)} }

func (b *formBed) gzip() string {
	b.t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b.raw)
	must(b.t, err)
	must(b.t, w.Close())
	return b.file(out.Bytes())
}

// Whatever others made of a snapshot is told by its content, and restored: all keys are there.
func TestRestoreTakesForeignForms(t *testing.T) {
	parallel(t)
	b := newFormBed(t)
	state := entry{"/etc/kubernetes/snap.rkestate", bytes.NewReader([]byte(`{"desiredState": {}}`))}
	for name, path := range map[string]string{
		"database":  b.file(b.raw),
		"gzip":      b.gzip(),
		"rke-tools": b.zip(b.db("/backup/snap"), state),
		"k3s":       b.zip(b.db("etcd-snapshot-node-1762000000")),
		"paths":     b.zip(b.db("../../../../etc/passwd"), entry{"../../escaped", bytes.NewReader([]byte("text"))}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := target(t)
			run(t, 0, []string{"restoring " + path + " from a file"}, "restore", path, "--data-dir="+dir)
			wantState(t, etcdtest.Default, "node1", dir, b.want).kill()
			if left := files(t, filepath.Dir(dir)); len(left) != 1 {
				t.Errorf("beside the data there is %s", left)
			}
		})
	}
	// A file that is damaged around an intact database is restored, with a warning.
	archive, err := os.ReadFile(b.archive)
	must(t, err)
	for name, path := range map[string]string{"archive": b.file(archive[:len(archive)-1]), "archive, longer": b.file(append(archive, 'x'))} {
		t.Run(name, func(t *testing.T) {
			dir := target(t)
			run(t, 0, []string{"warning: " + path + ": damaged: ", "its database is intact: etcd's digest matches", "restored "}, "restore", path, "--data-dir="+dir)
			wantState(t, etcdtest.Default, "node1", dir, b.want).kill()
		})
	}
	// A copy of a member's own file has no digest.
	dir, bare := target(t), filepath.Join(b.c.Members[0].DataDir, "member/snap/db")
	run(t, 1, []string{"--skip-hash-check"}, "restore", bare, "--data-dir="+dir)
	run(t, 0, []string{"digest           not checked"}, "restore", bare, "--data-dir="+dir, "--skip-hash-check")
	wantState(t, etcdtest.Default, "node1", dir, b.want)
}

// A snapshot that is not whole, or none, is told as what it is, with the exit status for it, and nothing is made of it.
func TestRestoreRefusesWhatIsNoSnapshot(t *testing.T) {
	parallel(t)
	b := newFormBed(t)
	archive, err := os.ReadFile(b.archive)
	must(t, err)
	change := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[at] ^= 1
		return data
	}
	// Of a single bit zstd may take no notice, and a restore asks for what comes out.
	overwrite := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		for i := range data[at : at+64] {
			data[at+i] ^= 0x55
		}
		return data
	}
	zeros := entry{"etcd-snapshot", io.LimitReader(zeros{}, 32<<20)}
	for _, x := range []struct {
		name   string
		path   string
		status int
		words  []string
	}{
		{"an archive with bytes changed", b.file(overwrite(archive, len(archive)/2)), 3, []string{"damaged"}},
		{"an archive cut off", b.file(archive[:len(archive)/2]), 3, []string{"damaged"}},
		{"a database with a bit changed", b.file(change(b.raw, len(b.raw)/2)), 3, []string{"digest"}},
		{"a database cut off", b.file(b.raw[:len(b.raw)-4096]), 3, []string{"digest"}},
		{"other bytes of a valid zstd", b.file(zstded(t, change(b.raw, len(b.raw)/2))), 3, []string{"digest"}},
		{"zeros", b.file(make([]byte, 1<<20)), 3, []string{"damaged", "only zeros"}},
		{"nothing", b.file(nil), 3, []string{"damaged", "the file is empty"}},
		{"two databases", b.zip(b.db("a"), b.db("b")), 3, []string{"two"}},
		{"an archive packed again", b.file(gzipTwice(t, b.raw)), 3, []string{"unpack it first"}},
		{"a terabyte in a zip", b.claim(1 << 40), 1, []string{"not enough free space", "TiB"}},
		{"zeros in a zip", b.zip(zeros), 3, []string{"damaged", "no snapshot"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := target(t)
			p := run(t, x.status, x.words, "restore", x.path, "--data-dir="+dir)
			t.Log(p.stderr.String())
			if left := files(t, filepath.Dir(dir)); len(left) != 0 {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func zstded(t *testing.T, data []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	must(t, err)
	defer enc.Close()
	return enc.EncodeAll(data, nil)
}
