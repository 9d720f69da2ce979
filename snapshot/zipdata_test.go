package snapshot_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

// zipArchive writes an archive that is a zip, of a database of size bytes.
func zipArchive(t *testing.T, size int, stateFile []byte) (packed, raw []byte) {
	t.Helper()
	taken := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	name, err := snapshot.RollingZip(taken)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	sum := sha256.Sum256(body)
	raw = append(body, sum[:]...)
	var out bytes.Buffer
	w, err := snapshot.NewZipWriter(&out, name, taken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Clone(raw)); err != nil {
		t.Fatal(err)
	}
	w.SetStateFile(stateFile)
	if _, err := w.Finish(snapshot.Manifest{Name: name.String(), CreatedAt: taken, Source: snapshot.Source{ClusterID: 7}}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), raw
}

func TestZipIsAnArchiveAndAZipOfRKETools(t *testing.T) {
	for _, stateFile := range [][]byte{nil, []byte(`{"desiredState":{}}`)} {
		packed, raw := zipArchive(t, 1<<20, stateFile)
		a, err := snapshot.OpenArchive(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		if !a.Zipped() || a.Manifest.ClusterID != 7 || a.Manifest.RawSize != int64(len(raw)) {
			t.Errorf("zipped %v, manifest %+v", a.Zipped(), a.Manifest)
		}
		r, err := a.Raw()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("read %d bytes: %v", len(got), err)
		}
		if err := a.VerifyChecksum(t.Context()); err != nil {
			t.Error(err)
		}
		z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{"/backup/2026-11-28T10:00:00Z_etcd": raw}
		if stateFile != nil {
			want["/etc/kubernetes/2026-11-28T10:00:00Z_etcd.rkestate"] = stateFile
		}
		if len(z.File) != len(want) {
			t.Errorf("the zip has %d members", len(z.File))
		}
		for _, f := range z.File {
			m, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(m)
			if err != nil || !bytes.Equal(got, want[f.Name]) || f.Method != zip.Deflate || f.Mode().Perm() != 0o600 {
				t.Errorf("member %s: %d bytes, method %d, mode %s: %v", f.Name, len(got), f.Method, f.Mode(), err)
			}
		}
	}
}

// docs/FORMAT.md says where everything is.
func TestZipHasTheDocumentedLayout(t *testing.T) {
	packed, _ := zipArchive(t, 1<<10, []byte(`{}`))
	m, d, err := snapshot.DecodeTail(packed, int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(packed))
	manifest := int64(binary.LittleEndian.Uint32(packed[size-44:]))
	if got := int64(binary.LittleEndian.Uint64(packed[size-52:])); got != d || size != d+manifest+52 {
		t.Errorf("D is %d and %d, M is %d, and there are %d bytes", d, got, manifest, size)
	}
	if end := packed[d-22 : d]; string(end[:4]) != "PK\x05\x06" || int64(binary.LittleEndian.Uint16(end[20:])) != manifest+52 {
		t.Errorf("the zip's last record is % x", end)
	}
	if sum := sha256.Sum256(packed[:d]); m.ArchiveSHA256 != hex.EncodeToString(sum[:]) || string(packed[size-8:size-2]) != "etcdRB" {
		t.Errorf("archive_sha256 is %s", m.ArchiveSHA256)
	}
}

func TestEveryAlteredByteOfAZipIsFound(t *testing.T) {
	packed, raw := zipArchive(t, 1<<10, []byte(`{}`))
	for i := range packed {
		bad := bytes.Clone(packed)
		bad[i] ^= 1
		if got, err := readZip(bad); err == nil {
			t.Errorf("byte %d of %d: read %d of %d bytes without an error", i, len(packed), len(got), len(raw))
		}
	}
}

func readZip(packed []byte) ([]byte, error) {
	a, err := snapshot.OpenArchive(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, err
	}
	r, err := a.Raw()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestNamesOfOtherPrograms(t *testing.T) {
	for _, tt := range []struct {
		file, set string
		taken     time.Time
	}{
		{"2026-11-28T10:00:00Z_etcd.zip", snapshot.RollingSet, time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)},
		{"2026-11-28T10:00:00+02:00_etcd", snapshot.RollingSet, time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)},
		{"rke_etcd_snapshot_2026-11-28T10:00:00+02:00.zip", snapshot.OtherSet, time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)},
		{"c-abcde-rl-xyz12_2026-11-28T10:00:00Z.zip", snapshot.OtherSet, time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)},
		{"c-abcde-rl-xyz12_2026-11-28T10-00-00Z.zip", snapshot.OtherSet, time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)},
		{"2020-01-01T00:00:00Z_manual-important.zip", snapshot.OtherSet, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"etcd-snapshot-node1-1700000000.zip", snapshot.OtherSet, time.Unix(1700000000, 0).UTC()},
		{"snap1.zip", snapshot.OtherSet, time.Time{}},
	} {
		n, err := snapshot.ParseName(tt.file)
		if err != nil || n.Set != tt.set || n.Node != "" || !n.Time.Equal(tt.taken) || n.String() != tt.file {
			t.Errorf("%s: %+v, %v; want set %s, time %s", tt.file, n, err, tt.set, tt.taken)
		}
		if again, err := snapshot.ParseName(n.String()); again != n || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", tt.file, again, err, n)
		}
	}
	for _, bad := range []string{"", ".zip", "../a.zip", "a/b.zip", "a\n.zip", "notime_etcd", strings.Repeat("a", 300) + ".zip"} {
		if n, err := snapshot.ParseName(bad); err == nil {
			t.Errorf("%q: %+v", bad, n)
		}
	}
}

func TestNamesThatDoNotSayTheNode(t *testing.T) {
	for file, want := range map[string]struct{ rolling, raw bool }{
		"2026-11-28T10:00:00Z_etcd.zip":             {true, false},
		"2026-11-28T10:00:00+02:00_etcd":            {true, true},
		"2026-11-28T10:00:00Z_manual-important.zip": {false, false},
		"c-abc12-rl-xyz98_2026-11-28T10:00:00Z.zip": {false, false},
		"snap1.zip": {false, false},
		"snap1":     {false, true},
	} {
		n, err := snapshot.OtherName(file)
		if err != nil {
			t.Fatal(err)
		}
		if n.Rolling("") != want.rolling || n.OfNode("") != want.rolling || n.Raw() != want.raw || n.OfNode("n1") || n.OfOtherNode("n1") {
			t.Errorf("%s: rolling %t, of the node %t, raw %t", file, n.Rolling(""), n.OfNode(""), n.Raw())
		}
	}
	own, err := snapshot.NewName("label", "n1", time.Now())
	if err != nil || !own.OfNode("n1") || own.OfNode("") || own.Raw() {
		t.Errorf("%s, %v", own, err)
	}
}
