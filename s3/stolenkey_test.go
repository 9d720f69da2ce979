package s3_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// appendOnly is a bucket with versions, the settings of a key that may only add, and what went through to the server.
func appendOnly(t *testing.T, key string, o s3test.BucketOptions) (s3.Config, *s3test.HTTPFaults) {
	t.Helper()
	faults := s3test.RunHTTPFaults(t, server.Target)
	bucket := s3test.Bucket(t, server.Target, o)
	c := asUser(t, faults.Target, bucket, key, s3test.AppendOnlyPolicy(bucket, "backups/"))
	c.AppendOnly = true
	return c, faults
}

func putArchive(t *testing.T, b *s3.Bucket, n snapshot.Name, data []byte) {
	t.Helper()
	must(t, b.PutArchive(t.Context(), n, opened(t, data), false, nil))
}

// reader sees old versions.
func reader(t *testing.T, c s3.Config) *s3.Bucket {
	t.Helper()
	c.Versions = true
	return open(t, c)
}

func wantVersion(t *testing.T, b *s3.Bucket, n snapshot.Name, want s3.Loss, data []byte) {
	t.Helper()
	if v, ok := b.Version(n); !ok || v.Loss != want || v.ID == "" {
		t.Errorf("%s: version %+v, %t, not lost as %q", n, v, ok, want)
	}
	wantStored(t, b, n, data)
	tail, size, err := b.Tail(t.Context(), n)
	must(t, err)
	if _, _, err := snapshot.DecodeTail(tail, size); err != nil || size != int64(len(data)) {
		t.Errorf("%s: its end has no manifest, of %d bytes: %v", n, size, err)
	}
}

// With three actions an append-only mirror works, and requests no removal.
func TestAppendOnlyRemovesNothing(t *testing.T) {
	t.Parallel()
	c, faults := appendOnly(t, "append", s3test.BucketOptions{Versioning: true})
	b := open(t, c)
	small, large := rolling(t, 0), rolling(t, 1)
	putArchive(t, b, small, storetest.Archive(t, small, 20000))
	putArchive(t, b, large, storetest.Archive(t, large, part+20000))
	wantList(t, b, large, small)
	wantError(t, b.Remove(t.Context(), small), s3.ErrConfig, "--s3-append-only", "lifecycle")
	if n, err := b.Sweep(t.Context(), nil, func(snapshot.Name) bool { return true }, -time.Hour); n != 0 || err != nil {
		t.Errorf("%d unfinished uploads swept: %v", n, err)
	}
	faults.Set(s3test.When(s3test.Method(http.MethodPut), s3test.Refuse(http.StatusForbidden, "AccessDenied")))
	if err := tryPut(t, b, rolling(t, 2), noise(part+1)); err == nil { // the upload has begun, and stays unfinished
		t.Error("stored without permission")
	}
	for _, r := range faults.Requests() {
		if r.Method == http.MethodDelete || strings.Contains(r.Query, "uploads") && r.Method == http.MethodGet {
			t.Errorf("%s %s?%s was requested", r.Method, r.Path, r.Query)
		}
	}
	wantList(t, b, large, small)
}

// What another upload has spoiled does not count as a copy, although it can't be removed.
func TestAppendOnlyCoversAWrongObject(t *testing.T) {
	t.Parallel()
	c, faults := appendOnly(t, "covers", s3test.BucketOptions{Versioning: true})
	b := open(t, c)
	n := rolling(t, 0)
	data := storetest.Archive(t, n, 20000)
	faults.Set(s3test.When(s3test.Method(http.MethodHead), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(wrongChecksum{w}, r)
	}))
	wantError(t, b.PutArchive(t.Context(), n, opened(t, data), false, nil), s3.ErrChecksum)
	faults.Set(nil)
	entries, err := b.List(t.Context())
	must(t, err)
	if len(entries) != 1 || entries[0].Size != 0 {
		t.Fatalf("%v is listed, which may count as a copy", entries)
	}
	must(t, b.PutArchive(t.Context(), n, opened(t, data), true, nil))
	wantStored(t, b, n, data)
}

type wrongChecksum struct{ http.ResponseWriter }

func (w wrongChecksum) WriteHeader(status int) {
	if h := w.Header(); h.Get("X-Amz-Checksum-Crc32c") != "" {
		h.Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
	}
	w.ResponseWriter.WriteHeader(status)
}

// The check accepts keys that may only add, leaves the same two objects each time, and reports what a thief could do with other keys.
func TestProbeProvesThatStolenKeysDestroyNothing(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]s3test.BucketOptions{"versions": {Versioning: true}, "lock": {ObjectLock: true}} {
		c, _ := appendOnly(t, "probe-"+name, o)
		b := open(t, c)
		for range 3 {
			for _, p := range b.Probe(t.Context()) {
				if p.Err != nil {
					t.Errorf("%s: %s: %v", name, p.Action, p.Err)
				}
			}
		}
		wantList(t, b)
		wantList(t, reader(t, c))
		want := []string{"backups/probe-append-only-parts.tmp", "backups/probe-append-only.tmp"}
		if keys := keysOf(t, c.Bucket); !slices.Equal(keys, want) {
			t.Errorf("%s: %v is left, not %v", name, keys, want)
		}
	}
	versioned := s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true})
	locked := s3test.Bucket(t, server.Target, s3test.BucketOptions{ObjectLock: true})
	for _, test := range []struct {
		key, bucket, policy string
		lock                time.Duration
		want                map[string]string
	}{
		{"probe-plain", s3test.Bucket(t, server.Target, s3test.BucketOptions{}), "", 0, map[string]string{"versioning": "mc version enable"}},
		{"probe-hides", versioned, s3test.MinimalPolicy(versioned, "backups/"), 0, map[string]string{"s3:DeleteObject": "remove s3:DeleteObject"}},
		{"probe-all", versioned, anything(versioned), 0, map[string]string{
			"s3:DeleteObject": "remove s3:DeleteObject", "s3:DeleteObjectVersion": "remove s3:DeleteObject and s3:DeleteObjectVersion",
		}},
		{"probe-bypass", locked, anything(locked), time.Hour, map[string]string{
			"s3:DeleteObject": "remove s3:DeleteObject", "s3:DeleteObjectVersion": "remove s3:DeleteObject and s3:DeleteObjectVersion",
		}},
	} {
		if test.policy == "" {
			test.policy = s3test.AppendOnlyPolicy(test.bucket, "backups/")
		}
		c := asUser(t, server.Target, test.bucket, test.key, test.policy)
		c.AppendOnly, c.LockMode, c.LockFor = true, "governance", test.lock
		for _, p := range open(t, c).Probe(t.Context()) {
			if remedy := test.want[p.Action]; remedy != "" {
				wantError(t, p.Err, s3.ErrExposed, remedy)
			} else if p.Err != nil {
				t.Errorf("%s: %s: %v", test.key, p.Action, p.Err)
			}
			if p.Optional {
				t.Errorf("%s: %s is optional", test.key, p.Action)
			}
		}
	}
}

func keysOf(t *testing.T, bucket string) []string {
	t.Helper()
	var keys []string
	for o := range s3test.Dial(t, server.Target).ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		keys = append(keys, o.Key)
	}
	return keys
}

// Whatever a thief of an append-only key does, every snapshot can be read as it was stored.
func TestStolenAppendOnlyKeyDestroysNoHistory(t *testing.T) {
	t.Parallel()
	c, _ := appendOnly(t, "stolen", s3test.BucketOptions{Versioning: true})
	b := open(t, c)
	stored := map[snapshot.Name][]byte{}
	for i, size := range []int{20000, 30000, part + 20000, 40000} {
		n := rolling(t, i)
		stored[n] = storetest.Archive(t, n, size)
		putArchive(t, b, n, stored[n])
	}
	thief := s3test.Dial(t, server.As("bk-stolen", userSecret))
	key := func(i int) string { return "backups/" + rolling(t, i).String() }
	over := func(i int, data []byte) {
		t.Helper()
		_, err := thief.PutObject(t.Context(), c.Bucket, key(i), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
		must(t, err)
	}
	versions := versionsOf(t, c.Bucket)
	var removed int
	for _, v := range versions {
		for _, id := range []string{"", v.VersionID} {
			if thief.RemoveObject(t.Context(), c.Bucket, v.Key, minio.RemoveObjectOptions{VersionID: id, GovernanceBypass: true}) == nil {
				removed++
			}
		}
	}
	todo := make(chan minio.ObjectInfo, len(versions))
	for _, v := range versions {
		todo <- v
	}
	close(todo)
	for result := range thief.RemoveObjectsWithResult(t.Context(), c.Bucket, todo, minio.RemoveObjectsOptions{GovernanceBypass: true}) {
		if result.Err == nil {
			removed++
		}
	}
	if removed != 0 {
		t.Errorf("%d removals were allowed", removed)
	}
	if thief.SuspendVersioning(t.Context(), c.Bucket) == nil || thief.RemoveBucket(t.Context(), c.Bucket) == nil {
		t.Error("the bucket itself could be changed")
	}
	over(0, []byte("garbage"))
	over(0, nil)
	altered := bytes.Clone(stored[rolling(t, 1)]) // with the manifest of the original
	altered[100] ^= 1
	over(1, altered)
	for range 150 {
		over(2, []byte("more"))
	}
	r := reader(t, c)
	wantList(t, r, rolling(t, 3), rolling(t, 2), rolling(t, 1), rolling(t, 0))
	for i, loss := range []s3.Loss{s3.Overwritten, s3.Overwritten, s3.Overwritten, s3.NotLost} {
		wantVersion(t, r, rolling(t, i), loss, stored[rolling(t, i)])
	}
}

// A thief who knows the schedule knows the next names. What is stored under one of them in advance is never taken for the snapshot.
func TestVersionStoredBeforeTheTimeInItsNameIsNotTrusted(t *testing.T) {
	t.Parallel()
	c, _ := appendOnly(t, "early", s3test.BucketOptions{Versioning: true})
	b := open(t, c)
	thief := s3test.Dial(t, server.As("bk-early", userSecret))
	soon, err := snapshot.NewName(snapshot.RollingSet, "node-a", time.Now().Add(20*time.Second)) // until then the thief is done
	must(t, err)
	later, err := snapshot.NewName(snapshot.RollingSet, "node-a", time.Now().Add(time.Hour))
	must(t, err)
	forged, original := storetest.Archive(t, rolling(t, 8), 30000), storetest.Archive(t, soon, 20000)
	for _, n := range []snapshot.Name{soon, later} {
		for _, data := range [][]byte{forged, []byte("x")} {
			_, err := thief.PutObject(t.Context(), c.Bucket, "backups/"+n.String(), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
			must(t, err)
		}
	}
	time.Sleep(time.Until(soon.Time)) // the snapshot can't be taken before
	must(t, b.PutArchive(t.Context(), soon, opened(t, original), true, nil))
	exact := func(id string) *s3.Bucket {
		c := c
		c.VersionID = id
		r := reader(t, c)
		r.AllowClockDifference(0)
		wantList(t, r, later, soon)
		return r
	}
	r := exact("")
	wantVersion(t, r, soon, s3.NotLost, original)
	planted, _ := r.Version(later)
	_, err = get(t, r, later)
	wantError(t, err, s3.ErrConfig, "before the time in its name", "--s3-version-id "+planted.ID)
	wantStored(t, exact(planted.ID), later, forged)
}

// Of several snapshots under one name, a person chooses; the original is among them.
func TestSeveralSnapshotsUnderOneNameNeedAChoice(t *testing.T) {
	t.Parallel()
	c, _ := appendOnly(t, "several", s3test.BucketOptions{Versioning: true})
	n := rolling(t, 0)
	original := storetest.Archive(t, n, 20000)
	putArchive(t, open(t, c), n, original)
	thief := s3test.Dial(t, server.As("bk-several", userSecret))
	for _, data := range [][]byte{storetest.Archive(t, rolling(t, 1), 20000), []byte("garbage"), original, storetest.Archive(t, rolling(t, 2), 30000)} {
		_, err := thief.PutObject(t.Context(), c.Bucket, "backups/"+n.String(), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
		must(t, err)
	}
	r := reader(t, c)
	wantList(t, r, n)
	_, err := get(t, r, n)
	wantError(t, err, s3.ErrConfig, "3 versions of it are different snapshots", "--s3-version-id")
	v, _ := r.Version(n)
	if len(v.Choices) != 3 || v.Choices[0].Size != 20000 || v.Choices[2].Size != 30000 {
		t.Fatalf("%+v", v)
	}
	c.VersionID = v.Choices[0].ID
	r = reader(t, c)
	wantList(t, r, n)
	wantVersion(t, r, n, s3.Overwritten, original)
}

func versionsOf(t *testing.T, bucket string) []minio.ObjectInfo {
	t.Helper()
	var all []minio.ObjectInfo
	for o := range s3test.Dial(t, server.Target).ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		must(t, o.Err)
		all = append(all, o)
	}
	return all
}

// Under Object Lock, and with keys that may delete, the thief hides everything. The versions are still found.
func TestDeleteMarkersHideNothing(t *testing.T) {
	t.Parallel()
	bucket := s3test.Bucket(t, server.Target, s3test.BucketOptions{ObjectLock: true})
	c := asUser(t, server.Target, bucket, "hides", s3test.MinimalPolicy(bucket, "backups/"))
	b := open(t, c)
	stored := map[snapshot.Name][]byte{}
	for i := range 3 {
		n := rolling(t, i)
		stored[n] = storetest.Archive(t, n, 20000+i*1000)
		putArchive(t, b, n, stored[n])
	}
	thief := s3test.Dial(t, server.As("bk-hides", userSecret))
	for _, v := range versionsOf(t, bucket) {
		must(t, thief.RemoveObject(t.Context(), bucket, v.Key, minio.RemoveObjectOptions{}))
		if err := thief.RemoveObject(t.Context(), bucket, v.Key, minio.RemoveObjectOptions{VersionID: v.VersionID}); err == nil {
			t.Errorf("a version of %s could be deleted", v.Key)
		}
	}
	_, err := thief.PutObject(t.Context(), bucket, "backups/"+rolling(t, 1).String(), strings.NewReader("x"), 1, minio.PutObjectOptions{})
	must(t, err)
	putArchive(t, b, rolling(t, 2), stored[rolling(t, 2)]) // the mirror has stored it again
	wantList(t, b, rolling(t, 2), rolling(t, 1))
	r := reader(t, c)
	wantList(t, r, rolling(t, 2), rolling(t, 1), rolling(t, 0))
	for i, loss := range []s3.Loss{s3.Deleted, s3.Overwritten, s3.NotLost} {
		wantVersion(t, r, rolling(t, i), loss, stored[rolling(t, i)])
	}
}
