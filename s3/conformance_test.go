package s3_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// part is the size up to which a snapshot goes in one request.
const part = 16 << 20

// Both makes of server do the same for us, with either checksum that they know.
func TestConformance(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	for _, make := range []struct {
		name     string
		target   s3test.Target
		checksum string
	}{
		{"minio", server.Target, s3.ChecksumAuto},
		{"minio, plain http", s3test.RunHTTPFaults(t, server.Target).Target, s3.ChecksumAuto},
		{"minio, md5", server.Target, s3.ChecksumMD5},
		{"gofakes3", fake.Target, s3.ChecksumMD5},
	} {
		t.Run(make.name, func(t *testing.T) {
			t.Parallel()
			fresh := func(t *testing.T) (*s3.Bucket, s3.Config) {
				c := config(t, make.target, s3test.Bucket(t, make.target, s3test.BucketOptions{}))
				c.Checksum = make.checksum
				return open(t, c), c
			}
			t.Run("round trip", func(t *testing.T) { roundTrip(t, fresh) })
			t.Run("foreign", func(t *testing.T) { foreign(t, fresh, make.target) })
			t.Run("absent", func(t *testing.T) { absent(t, fresh) })
		})
	}
}

type maker func(*testing.T) (*s3.Bucket, s3.Config)

func roundTrip(t *testing.T, fresh maker) {
	b, _ := fresh(t)
	for i, size := range []int{0, 1, snapshot.TailSize - 1, snapshot.TailSize, snapshot.TailSize + 1, part - 1, part, part + 1, 2*part + 7} {
		data, n := noise(size), rolling(t, i)
		var last, total int64
		must(t, b.Put(t.Context(), n, bytes.NewReader(data), int64(size), func(d, of int64) { last, total = d, of }))
		if size > 0 && (last != int64(size) || total != int64(size)) {
			t.Errorf("progress ended at %d of %d, not %d", last, total, size)
		}
		wantStored(t, b, n, data)
		tail, whole, err := b.Tail(t.Context(), n)
		must(t, err)
		if whole != int64(size) || !bytes.Equal(tail, data[max(0, size-snapshot.TailSize):]) {
			t.Errorf("%d bytes: tail of %d bytes, of %d", size, len(tail), whole)
		}
		entries, err := b.List(t.Context())
		must(t, err)
		if len(entries) != 1 || entries[0].Size != int64(size) {
			t.Errorf("%d bytes: list gives %v", size, entries)
		}
		must(t, b.Remove(t.Context(), n))
		wantList(t, b)
	}
}

// Beside everything that may lie in a bucket, only our names in our folder are seen, and all the rest stays.
func foreign(t *testing.T, fresh maker, target s3test.Target) {
	b, c := fresh(t)
	mine := name(t, "rolling", "a", 3)
	// Not among them: an object whose key is the folder's. MinIO then lists nothing under the folder, as Probe tells.
	others := []string{
		"backup", "backups2/" + mine.String(), mine.String(), "backups/sub/" + mine.String(), "other/" + mine.String(),
		"backups/" + mine.String() + ".part", "backups/" + mine.String() + "/x", "backups/x" + mine.String() + "x",
		"backups/a_b.db.zst", "backups/rolling_a_20261121T030000.5Z.db.zst", "backups/notes & more+%20.txt", "backups/snäp\u2028shot",
		"backups/rolling_a_20261121T030000Z.db.ZST", "backups/__.db.zst",
	}
	client := s3test.Dial(t, target)
	kept := 0
	for _, key := range others {
		_, err := client.PutObject(t.Context(), c.Bucket, key, bytes.NewReader([]byte("x")), 1, minio.PutObjectOptions{})
		if err != nil {
			t.Logf("%s does not take %q", target.URL(), key) // a file and a folder of one name, for example
			continue
		}
		kept++
	}
	hyphen, manual := name(t, "rolling", "a-b", 2), name(t, "before-upgrade", "a", 1)
	for _, n := range []snapshot.Name{mine, hyphen, manual} {
		put(t, b, n, []byte(n.String()))
	}
	for _, folder := range []string{"backups", "/backups/", "backups/", "//backups"} {
		c.Folder = folder
		wantList(t, open(t, c), mine, hyphen, manual)
	}
	must(t, b.Remove(t.Context(), mine))
	wantList(t, b, hyphen, manual)
	c.Folder = "backups/deep/er"
	deep := open(t, c)
	wantList(t, deep)
	put(t, deep, mine, []byte("deep"))
	wantList(t, deep, mine)
	wantList(t, b, hyphen, manual)

	left := 0
	for o := range client.ListObjectsIter(t.Context(), c.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		left++
	}
	if left != kept+3 {
		t.Errorf("%d objects are left, not the %d foreign ones and 3 of ours", left, kept)
	}
}

func absent(t *testing.T, fresh maker) {
	b, _ := fresh(t)
	n := rolling(t, 0)
	_, err := get(t, b, n)
	wantError(t, err, snapshot.ErrNotFound, "get "+n.String())
	_, _, err = b.Tail(t.Context(), n)
	wantError(t, err, snapshot.ErrNotFound)
	wantError(t, b.Remove(t.Context(), n), snapshot.ErrNotFound, "remove "+n.String())
	if s3.Retryable(err) {
		t.Error("what is not there is not there at once either")
	}
	wantList(t, b)
	if swept, err := b.Sweep(t.Context(), func(snapshot.Name) bool { return true }, 0); swept != 0 || err != nil {
		t.Errorf("sweep of nothing: %d, %v", swept, err)
	}
}

// More snapshots than one page of a list holds, among others that fill pages of their own.
func TestListPages(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	b, c := bed(t, fake.Target)
	client := s3test.Dial(t, fake.Target)
	const many = 2100
	for i := range many {
		for _, key := range []string{rolling(t, i).String(), fmt.Sprintf("foreign-%d", i)} {
			_, err := client.PutObject(t.Context(), c.Bucket, "backups/"+key, bytes.NewReader(nil), 0, minio.PutObjectOptions{})
			must(t, err)
		}
	}
	entries, err := b.List(t.Context())
	must(t, err)
	if len(entries) != many {
		t.Fatalf("%d snapshots, not %d", len(entries), many)
	}
	for i, e := range entries {
		if e.Name.String() != rolling(t, many-1-i).String() {
			t.Fatalf("entry %d is %s: not newest first", i, e.Name)
		}
	}
}
