package s3_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// zipOfOthers is a zip without a manifest, with a database of so many bytes.
func zipOfOthers(t *testing.T, size int) (snapshot.Name, []byte) {
	t.Helper()
	n, err := snapshot.RollingZip(time.Date(2026, 11, 21, 0, 0, size, 0, time.UTC))
	must(t, err)
	db := noise(size)
	binary.NativeEndian.PutUint32(db[16:], 0xED0CDAED) // as every bbolt file begins
	sum := sha256.Sum256(db)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "/backup/x", Method: zip.Store})
	must(t, err)
	_, err = f.Write(append(db, sum[:]...))
	must(t, err)
	must(t, w.Close())
	return n, out.Bytes()
}

// A zip of another program is read and verified before the upload, in every mode and size.
func TestZipWithoutAManifestIsVerifiedAndStored(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{s3.ChecksumAuto, s3.ChecksumMD5} {
		for _, size := range []int{4096, part + 512} {
			n, whole := zipOfOthers(t, size)
			c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{}))
			c.Checksum = mode
			b := open(t, c)
			named := func(data []byte) *snapshot.Archive {
				a, err := snapshot.OpenNamed(n, bytes.NewReader(data), int64(len(data)))
				must(t, err)
				return a
			}
			altered := bytes.Clone(whole)
			altered[size/2] ^= 1
			if err := b.PutArchive(t.Context(), n, named(altered), false, nil); !errors.Is(err, snapshot.ErrDamaged) {
				t.Errorf("%s, %d bytes: %v", mode, size, err)
			}
			wantList(t, b)
			must(t, b.PutArchive(t.Context(), n, named(whole), false, nil))
			wantStored(t, b, n, whole)
			must(t, b.PutArchive(t.Context(), n, named(whole), false, nil)) // it is there
			_, other := zipOfOthers(t, size+512)
			wantError(t, b.PutArchive(t.Context(), n, named(other), false, nil), snapshot.ErrExists)
			wantStored(t, b, n, whole)
		}
	}
}

// A zip is the original of a zip's name, and under a name of ours it is what somebody has put over the archive.
func TestVersionsOfZips(t *testing.T) {
	t.Parallel()
	c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true}))
	b := open(t, c)
	n, theirs := zipOfOthers(t, 4096)
	ours := rolling(t, 0)
	archive := storetest.Archive(t, ours, 20000)
	for _, data := range [][]byte{theirs, []byte("garbage")} {
		put(t, b, n, data)
	}
	for _, data := range [][]byte{theirs, archive, theirs} {
		put(t, b, ours, data)
	}
	r := reader(t, c)
	wantList(t, r, n, ours)
	if v, ok := r.Version(n); !ok || v.Loss != s3.Overwritten {
		t.Errorf("version %+v", v)
	}
	if got, err := get(t, r, n); err != nil || !bytes.Equal(got, theirs) {
		t.Errorf("read %d bytes: %v", len(got), err)
	}
	wantVersion(t, r, ours, s3.Overwritten, archive)
}
