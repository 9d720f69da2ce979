package s3_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// part is the size up to which a snapshot goes in one request.
const part = 16 << 20

// Both makes of server do the same for us, with either checksum that they know, and no less than a directory does.
func TestConformance(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	large := storetest.Samples(t, part-1, part, part+1, 2*part+7)
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
			storetest.Run(t, func(t *testing.T) storetest.Store {
				b, c := fresh(t)
				return bucketStore{b, s3test.Dial(t, make.target), c}
			}, large...)
			t.Run("any bytes", func(t *testing.T) { anyBytes(t, fresh) })
			t.Run("other keys", func(t *testing.T) { otherKeys(t, fresh, make.target) })
			t.Run("absent", func(t *testing.T) { absent(t, fresh) })
		})
	}
}

type maker func(*testing.T) (*s3.Bucket, s3.Config)

// What a bucket is given it keeps, an archive or not, and tells how far it is; over what is there it puts the new.
func anyBytes(t *testing.T, fresh maker) {
	b, _ := fresh(t)
	n := rolling(t, 0)
	for _, size := range []int{0, 1, snapshot.TailSize - 1, part + 1, 1000} {
		data := noise(size)
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
		wantList(t, b, n)
	}
}

// Only our names in our folder are seen, however it is written, beside other folders and keys that only a bucket can have.
func otherKeys(t *testing.T, fresh maker, target s3test.Target) {
	b, c := fresh(t)
	mine := name(t, "rolling", "a", 3)
	// Not among them: an object whose key is the folder's. MinIO then lists nothing under the folder, as Probe tells.
	others := []string{
		"backup", "backups2/" + mine.String(), mine.String(), "backups/" + mine.String() + "/x", "other/" + mine.String(),
		"backups/notes & more+%20.txt", "backups/snäp\u2028shot",
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
	put(t, b, mine, []byte("x"))
	for _, folder := range []string{"backups", "/backups/", "backups/", "//backups"} {
		c.Folder = folder
		wantList(t, open(t, c), mine)
	}
	c.Folder = "backups/deep/er"
	deep := open(t, c)
	wantList(t, deep)
	put(t, deep, mine, []byte("deep"))
	wantList(t, deep, mine)
	wantList(t, b, mine)
	must(t, b.Remove(t.Context(), mine))
	wantStored(t, deep, mine, []byte("deep"))
	wantList(t, b)

	left := 0
	for o := range client.ListObjectsIter(t.Context(), c.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		left++
	}
	if left != kept+1 {
		t.Errorf("%d objects are left, not the %d foreign ones and 1 of ours", left, kept)
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
	if s3.Transient(err) {
		t.Error("what is not there is not there at once either")
	}
	wantList(t, b)
	if swept, err := b.Sweep(t.Context(), nil, func(snapshot.Name) bool { return true }, 0); swept != 0 || err != nil {
		t.Errorf("sweep of nothing: %d, %v", swept, err)
	}
}

// More snapshots than one page of a list holds, among others that fill pages of their own.
func TestListReadsEveryPage(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	b, c := bed(t, fake.Target)
	client := s3test.Dial(t, fake.Target)
	const many = 1100 // a page has 1000
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
