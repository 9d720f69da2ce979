package s3_test

import (
	"errors"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

// A locked snapshot stays, is listed, and is told as locked.
func TestLockedSnapshotStays(t *testing.T) {
	t.Parallel()
	bucket := s3test.Bucket(t, server.Target, s3test.BucketOptions{ObjectLock: true})
	c := asUser(t, server.Target, bucket, "lock-all", anything(bucket))
	c.LockMode, c.LockFor = "governance", time.Hour
	b := open(t, c)
	for i, size := range []int{1000, part + 1} {
		n := rolling(t, i)
		put(t, b, n, noise(size))
		wantError(t, b.Remove(t.Context(), n), s3.ErrLocked, "until 20")
		wantStored(t, b, n, noise(size))
		info, err := s3test.Dial(t, server.Target).StatObject(t.Context(), bucket, "backups/"+n.String(), minio.StatObjectOptions{})
		must(t, err)
		until, err := time.Parse(time.RFC3339, info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		must(t, err)
		if d := time.Until(until); d < 55*time.Minute || d > 65*time.Minute {
			t.Errorf("locked for %s, not an hour", d)
		}
	}
	for _, p := range b.Probe(t.Context()) {
		if p.Err != nil {
			t.Errorf("%s: %v", p.Action, p.Err)
		}
	}
	wantList(t, b, rolling(t, 1), rolling(t, 0))

	// Setting a lock needs a permission of its own, a plain snapshot in the same bucket does not.
	c = asUser(t, server.Target, bucket, "lock-min", s3test.MinimalPolicy(bucket, "backups"))
	put(t, open(t, c), rolling(t, 2), []byte("x"))
	c.LockMode, c.LockFor = "governance", time.Hour
	wantError(t, tryPut(t, open(t, c), rolling(t, 3), []byte("x")), s3.ErrPermission, "s3:PutObjectRetention")
	c.LockFor = 0
	must(t, open(t, c).Remove(t.Context(), rolling(t, 2)))

	c = config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{}))
	c.LockMode, c.LockFor = "compliance", time.Hour
	wantError(t, tryPut(t, open(t, c), rolling(t, 0), []byte("x")), s3.ErrConfig, "created with Object Lock")
}

// Keys that may not see locks know at least those that Put itself has set.
func TestOwnLockIsKnownWithoutPermission(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	n := rolling(t, 0)
	put(t, b, n, []byte("x"))
	c.LockMode, c.LockFor = "governance", time.Hour
	wantError(t, open(t, c).Remove(t.Context(), n), s3.ErrLocked)
	c.LockFor = time.Nanosecond
	must(t, open(t, c).Remove(t.Context(), n))
}

// In a versioned bucket what was removed is gone from the list, yet its version lives on.
func TestRemovedVersionIsNotListed(t *testing.T) {
	t.Parallel()
	bucket := s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true})
	b := open(t, config(t, server.Target, bucket))
	n := rolling(t, 0)
	put(t, b, n, []byte("first"))
	put(t, b, n, []byte("second"))
	wantStored(t, b, n, []byte("second"))
	wantList(t, b, n)
	must(t, b.Remove(t.Context(), n))
	wantList(t, b)
	if _, err := get(t, b, n); err == nil {
		t.Error("it is still there")
	}
	put(t, b, n, []byte("third"))
	wantList(t, b, n)
	versions := 0
	for o := range s3test.Dial(t, server.Target).ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		must(t, o.Err)
		versions++
	}
	if versions != 4 {
		t.Errorf("%d versions, not three and a marker", versions)
	}
}

func TestQuotaIsReported(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	must(t, server.SetQuota(t.Context(), c.Bucket, 1))
	wantError(t, tryPut(t, b, rolling(t, 0), []byte("xx")), s3.ErrQuota, "quota", "--s3-keep-last")
	wantError(t, tryPut(t, b, rolling(t, 0), noise(part+1)), s3.ErrQuota)
	wantList(t, b)
}

func TestObjectsAreEncrypted(t *testing.T) {
	t.Parallel()
	plain := s3test.Run(t, s3test.Options{})
	_, without := bed(t, plain.Target)
	without.SSE = "s3"
	wantError(t, tryPut(t, open(t, without), rolling(t, 0), []byte("x")), s3.ErrConfig, "--s3-sse")
	for _, sse := range []string{"s3", "kms", "kms:" + s3test.KMSKey} {
		for _, checksum := range []string{s3.ChecksumAuto, s3.ChecksumMD5} {
			_, c := bed(t, server.Target)
			c.SSE, c.Checksum, c.StorageClass = sse, checksum, "STANDARD"
			b := open(t, c)
			for i, size := range []int{1000, part + 1000} {
				n := rolling(t, i)
				put(t, b, n, noise(size))
				wantStored(t, b, n, noise(size))
				info, err := s3test.Dial(t, server.Target).StatObject(t.Context(), c.Bucket, "backups/"+n.String(), minio.StatObjectOptions{})
				must(t, err)
				if info.Metadata.Get("X-Amz-Server-Side-Encryption") == "" {
					t.Errorf("%s: stored in the clear", sse)
				}
			}
		}
	}
	_, c := bed(t, server.Target)
	c.StorageClass = "NO-SUCH-CLASS"
	wantError(t, tryPut(t, open(t, c), rolling(t, 0), []byte("x")), s3.ErrConfig, "--s3-storage-class")
	if err := (s3.Config{Bucket: "abc", SSE: "kms:"}).Check(); !errors.Is(err, s3.ErrConfig) {
		t.Error(err)
	}
}
