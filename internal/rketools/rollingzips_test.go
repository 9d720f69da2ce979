package rketools_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
)

// originalZip is what the original leaves: no manifest, and the zip's checksums and etcd's digest are all that proves it.
func originalZip(t *testing.T, name string) []byte {
	t.Helper()
	db := make([]byte, 16384)
	binary.NativeEndian.PutUint32(db[16:], 0xED0CDAED) // as every bbolt file begins
	sum := sha256.Sum256(db)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.Create("/backup/" + name)
	must(t, err)
	_, err = f.Write(append(db, sum[:]...))
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// After the change of the program, the zips that the original took and never uploaded are uploaded too, byte for byte. An uncompressed
// database next to one and a zip that somebody saved are not.
func TestRollingUploadsTheZipsOfTheOriginal(t *testing.T) {
	b, c, h := newBucket(t, s3test.BucketOptions{}), sharedEtcd(t), newHost(t)
	name := time.Now().UTC().Add(-10*time.Minute).Format(time.RFC3339) + "_etcd"
	whole := string(originalZip(t, name))
	h.write("backup/"+name+".zip", whole)
	h.write("backup/"+name, "an uncompressed database")
	h.write("backup/snap1.zip", whole)
	r := h.rolls(c.Members[0], c.PKI, append(b.flags("--s3-folder=one"), "--creation=1s", "--retention=1h")...)
	h.saved(2)
	eventually(t, "it was uploaded, and ours with it", func() bool {
		return slices.Contains(b.keys(), "one/"+name+".zip") && strings.Count(strings.Join(b.keys(), " "), "_etcd.zip") >= 3
	})
	r.ends()
	if b.get("one/"+name+".zip") != whole {
		t.Error("the object is another one")
	}
	for _, key := range []string{"one/" + name, "one/snap1.zip"} {
		if slices.Contains(b.keys(), key) {
			t.Errorf("%s was uploaded", key)
		}
	}
	if h.read("backup/"+name+".zip") != whole || h.read("backup/"+name) != "an uncompressed database" {
		t.Error("the files were changed")
	}
}
