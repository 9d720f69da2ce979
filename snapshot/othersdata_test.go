package snapshot_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

type zipMember struct {
	name string
	data []byte
}

// zipOf is a zip as another program writes it.
func zipOf(t testing.TB, method uint16, members ...zipMember) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		must(t, err)
		_, err = f.Write(m.data)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func zipName(t testing.TB) snapshot.Name {
	t.Helper()
	n, err := snapshot.RollingZip(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
	must(t, err)
	return n
}

// flipped is a copy with a byte of the text changed.
func flipped(t testing.TB, b []byte, text string) []byte {
	t.Helper()
	b = bytes.Clone(b)
	b[bytes.Index(b, []byte(text))] ^= 1
	return b
}

// What other programs write has no manifest, and is verified by its own checksums and etcd's digest. Under a name of ours it is damage.
func TestFilesOfOtherProgramsAreVerifiedByTheirNames(t *testing.T) {
	db := etcdDatabase(t, 10)
	sum := sha256.Sum256(db)
	raw := append(bytes.Clone(db), sum[:]...)
	database, state := zipMember{"/backup/x", raw}, zipMember{"/etc/kubernetes/x.rkestate", []byte("private keys")}
	whole := zipOf(t, zip.Store, database, state)
	encrypted := zipOf(t, zip.Deflate, database)
	encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8] |= 1
	other := bytes.Clone(raw)
	other[len(other)/2] ^= 1
	for name, x := range map[string]struct {
		data []byte
		want error
	}{
		"deflated":                     {zipOf(t, zip.Deflate, database, state), nil},
		"stored":                       {whole, nil},
		"database":                     {raw, nil},
		"the state file alone altered": {flipped(t, whole, "private"), snapshot.ErrDamaged},
		"half":                         {whole[:len(whole)/2], snapshot.ErrDamaged},
		"no database":                  {zipOf(t, zip.Deflate, state), snapshot.ErrDamaged},
		"no files":                     {zipOf(t, zip.Deflate), snapshot.ErrDamaged},
		"two databases":                {zipOf(t, zip.Deflate, database, database), snapshot.ErrDamaged},
		"encrypted":                    {encrypted, snapshot.ErrDamaged},
		"another database in the zip":  {zipOf(t, zip.Deflate, zipMember{"x", other}), snapshot.ErrDamaged},
		"another database":             {other, snapshot.ErrDamaged},
		"a database that is cut":       {raw[:len(raw)-100], snapshot.ErrDamaged},
		"no digest in the zip":         {zipOf(t, zip.Deflate, zipMember{"x", db}), snapshot.ErrNoDigest},
		"no digest":                    {db, snapshot.ErrNoDigest},
		"text":                         {[]byte("no snapshot at all"), snapshot.ErrDamaged},
	} {
		a, err := snapshot.OpenNamed(zipName(t), bytes.NewReader(x.data), int64(len(x.data)))
		if err == nil {
			if a.HasManifest() || a.Size != int64(len(x.data)) {
				t.Errorf("%s: %+v", name, a)
			}
			if _, raw := a.Raw(); !errors.Is(raw, snapshot.ErrNoManifest) {
				t.Errorf("%s: Raw: %v", name, raw)
			}
			err = a.VerifyChecksum(t.Context())
		}
		if !errors.Is(err, x.want) || errors.Is(err, snapshot.ErrDamaged) != errors.Is(x.want, snapshot.ErrDamaged) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		if _, err := snapshot.OpenNamed(nameA(), bytes.NewReader(x.data), int64(len(x.data))); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s, under a name of ours: %v", name, err)
		}
	}
}

// A zip without a manifest is not damaged, and no quarantine takes it away; half a zip is.
func TestQuarantineKeepsZipsWithoutAManifest(t *testing.T) {
	db := etcdDatabase(t, 10)
	sum := sha256.Sum256(db)
	whole := zipOf(t, zip.Deflate, zipMember{"x", append(bytes.Clone(db), sum[:]...)})
	d, n := newDir(t), zipName(t)
	put(t, d, n.String(), whole)
	if _, err := d.Manifest(n); !errors.Is(err, snapshot.ErrNoManifest) {
		t.Errorf("Manifest: %v", err)
	}
	must(t, d.VerifyChecksum(t.Context(), n, nil))
	if broken, err := d.Quarantine(t.Context(), n); broken || err != nil {
		t.Errorf("broken %t, %v", broken, err)
	}
	must(t, d.Remove(t.Context(), n))
	put(t, d, n.String(), whole[:len(whole)/2])
	if broken, err := d.Quarantine(t.Context(), n); !broken || err != nil {
		t.Errorf("half a zip: broken %t, %v", broken, err)
	}
}

// A zip that comes from elsewhere gets its name only after all of it was verified.
func TestReceiveVerifiesZipsOfOtherPrograms(t *testing.T) {
	db := etcdDatabase(t, 10)
	sum := sha256.Sum256(db)
	whole := zipOf(t, zip.Store, zipMember{"x", append(bytes.Clone(db), sum[:]...)}, zipMember{"y.rkestate", []byte("private keys")})
	d, n := newDir(t), zipName(t)
	for _, bad := range [][]byte{flipped(t, whole, "private"), whole[:len(whole)-1]} {
		_, err := d.Receive(t.Context(), n, n.String(), bytes.NewReader(bad), int64(len(bad)), 0, nil)
		if left := in(t, d); !errors.Is(err, snapshot.ErrDamaged) || len(left) != 0 {
			t.Errorf("%v, and there are %q", err, left)
		}
	}
	m, err := d.Receive(t.Context(), n, n.String(), bytes.NewReader(whole), int64(len(whole)), 0, nil)
	if left := in(t, d); err != nil || m.Format != "" || !slices.Equal(left, []string{n.String()}) {
		t.Errorf("%+v, %v, and there are %q", m, err, left)
	}
}

// References: a full name, the same without .zip, latest and labels. A name without a time is found by itself only.
func TestFindKnowsZips(t *testing.T) {
	var l snapshot.Listing
	for _, file := range []string{
		"2026-11-28T10:00:00Z_etcd.zip", "rolling_n_20261127T100000Z.db.zst", "other_n_20261126T100000Z.db.zst", "rolling.zip", "snap1.zip", "snap10.zip",
		"c-x_2026-11-29T10-00-00Z.zip",
	} {
		n, err := snapshot.ParseName(file)
		must(t, err)
		l.Snapshots = append(l.Snapshots, snapshot.Entry{Name: n})
	}
	slices.SortFunc(l.Snapshots, snapshot.NewestFirst)
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for ref, want := range map[string]string{
		"snap1": "snap1.zip", "snap1.zip": "snap1.zip", "snap10": "snap10.zip", "latest": "c-x_2026-11-29T10-00-00Z.zip",
		"c-x_2026-11-29T10-00-00Z": "c-x_2026-11-29T10-00-00Z.zip", "other": "other_n_20261126T100000Z.db.zst", "rolling": "rolling.zip",
		"2026-11-28T10:00:00Z_etcd": "2026-11-28T10:00:00Z_etcd.zip",
	} {
		if e, err := l.Find(ref, now); err != nil || e.Name.String() != want {
			t.Errorf("%s: %s, %v; want %s", ref, e.Name, err, want)
		}
	}
	for _, ref := range []string{"snap", "snap2", "zip"} {
		if e, err := l.Find(ref, now); !errors.Is(err, snapshot.ErrNotFound) {
			t.Errorf("%s: %s, %v", ref, e.Name, err)
		}
	}
}
