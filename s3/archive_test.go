package s3_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// An archive that is not whole is refused in every mode and size, and nothing gets its name; one that is arrives.
func TestDamagedArchiveIsNeverStored(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{s3.ChecksumAuto, s3.ChecksumMD5} {
		for _, size := range []int{512, part + 512} {
			n, whole := archiveOf(t, size)
			c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{}))
			c.Checksum = mode
			b := open(t, c)
			for _, at := range []int{0, size / 2, size} { // the data is a little longer than what it holds
				altered := bytes.Clone(whole)
				altered[at] ^= 1
				if err := b.PutArchive(t.Context(), n, opened(t, altered), false, nil); !errors.Is(err, snapshot.ErrDamaged) {
					t.Errorf("%s, %d bytes: byte %d altered: %v", mode, size, at, err)
				}
				wantList(t, b)
			}
			must(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil))
			wantStored(t, b, n, whole)
		}
	}
}

// The manifest's checksum goes on over what stands behind the data.
func TestChecksumCoversTheWholeArchive(t *testing.T) {
	t.Parallel()
	_, whole := archiveOf(t, 4096)
	a := opened(t, whole)
	sum, known := a.CRC32C()
	if want := crcOf(whole); !known || sum != want {
		t.Errorf("the archive gives %08x (%t), its bytes have %08x", sum, known, want)
	}
	a.Manifest.ArchiveCRC32C = "" // as early archives have it
	if _, known := a.CRC32C(); known {
		t.Error("a checksum that is not there is known")
	}
}

// archiveOf is an archive of so many random bytes, which do not compress.
func archiveOf(t *testing.T, size int) (snapshot.Name, []byte) {
	t.Helper()
	n, err := snapshot.NewName("manual", "a", time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC))
	must(t, err)
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out)
	must(t, err)
	data := noise(size)
	sum := sha256.Sum256(data)
	_, err = w.Write(append(data, sum[:]...))
	must(t, err)
	_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, Node: n.Node})
	must(t, err)
	return n, out.Bytes()
}

func opened(t *testing.T, data []byte) *snapshot.Archive {
	t.Helper()
	a, err := snapshot.OpenArchive(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	return a
}

func crcOf(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }
