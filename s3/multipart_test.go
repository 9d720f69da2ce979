package s3_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Parts are small as long as 10,000 of them suffice.
func TestPartsStayWithinTheLimits(t *testing.T) {
	t.Parallel()
	const gib, tib = 1 << 30, 1 << 40
	for _, size := range []int64{part + 1, 2 * part, 2*part + 1, gib, 10_000 * part, 10_000*part + 1, tib, tib + 1, 5 * tib} {
		parts, each, last := s3.Split(size)
		switch {
		case parts > 10_000 || each > 5*gib || last < 1 || last > each:
			t.Errorf("%d bytes: %d parts of %d, the last of %d", size, parts, each, last)
		case int64(parts-1)*each+last != size:
			t.Errorf("%d bytes: %d parts of %d and %d are another number", size, parts, each, last)
		case size <= 10_000*part && each != part:
			t.Errorf("%d bytes: parts of %d", size, each)
		}
	}
}

// zeros is an archive of any size without memory or disk.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// What an upload holds in memory is less than one part, whatever the archive's size.
func TestUploadHoldsLessThanAPartInMemory(t *testing.T) {
	b, _ := bed(t, server.Target)
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, next := live(), uint64(0), int64(0)
	must(t, b.Put(t.Context(), rolling(t, 0), zeros{}, 320<<20, func(done, _ int64) {
		if done >= next {
			next += part
			most = max(most, live())
		}
	}))
	if most > before+8<<20 {
		t.Errorf("the heap grew from %d KiB to %d KiB", before>>10, most>>10)
	}
}

// An upload that fails half way leaves no parts behind, also when its caller has given up.
func TestInterruptedUploadIsAborted(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	b, n := open(t, c), rolling(t, 0)
	data := noise(4 * part)
	lastPart := func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "partNumber=4") }
	faults.Set(s3test.When(lastPart, s3test.Refuse(http.StatusForbidden, "AccessDenied")))
	wantError(t, tryPut(t, b, n, data), s3.ErrPermission, "s3:PutObject")
	wantNoUploads(t, c.Bucket, n)

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutdown")
	faults.Set(s3test.When(lastPart, func(http.ResponseWriter, *http.Request, http.Handler) {
		cancel(stop)
		panic(http.ErrAbortHandler)
	}))
	if err := b.Put(ctx, n, bytes.NewReader(data), int64(len(data)), nil); !errors.Is(err, stop) {
		t.Errorf("put: %v", err)
	}
	wantNoUploads(t, c.Bucket, n)
	wantList(t, b)
}

func uploads(t *testing.T, bucket string, n snapshot.Name) int {
	t.Helper()
	return uploadsOf(t, bucket, "backups/"+n.String())
}

// uploadsOf counts those of a whole key, as MinIO lists them.
func uploadsOf(t *testing.T, bucket, key string) int {
	t.Helper()
	found := 0
	for u := range s3test.Dial(t, server.Target).ListIncompleteUploads(t.Context(), bucket, key, true) {
		must(t, u.Err)
		found++
	}
	return found
}

func wantNoUploads(t *testing.T, bucket string, n snapshot.Name) {
	t.Helper()
	if found := uploads(t, bucket, n); found != 0 {
		t.Errorf("%d uploads of %s are left", found, n)
	}
}

// What a process killed on the way has left goes when the snapshot arrives.
func TestPutClearsEarlierTries(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	n, other := rolling(t, 0), rolling(t, 1)
	begin(t, server.Target, c.Bucket, "backups/"+n.String())
	begin(t, server.Target, c.Bucket, "backups/"+n.String())
	begin(t, server.Target, c.Bucket, "backups/"+other.String())
	if uploads(t, c.Bucket, n) != 2 {
		t.Fatal("the bed is not made")
	}
	put(t, b, n, noise(part+1))
	wantNoUploads(t, c.Bucket, n)
	if uploads(t, c.Bucket, other) != 1 {
		t.Error("another snapshot's upload is gone")
	}
}

// begin leaves an unfinished upload, as a killed process does.
func begin(t *testing.T, target s3test.Target, bucket, key string) {
	t.Helper()
	core := minio.Core{Client: s3test.Dial(t, target)}
	_, err := core.NewMultipartUpload(t.Context(), bucket, key, minio.PutObjectOptions{})
	must(t, err)
}

// Only uploads of our names, of our snapshots, and old enough, are swept.
func TestSweepAbortsOldUploadsOfOursOnly(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	b, c := bed(t, fake.Target)
	mine, others := rolling(t, 0), name(t, "rolling", "node-b", 0)
	for _, key := range []string{
		"backups/" + mine.String(), "backups/" + others.String(), "backups/notes.txt", "backups2/" + mine.String(), "backups/deep/" + mine.String(),
	} {
		begin(t, fake.Target, c.Bucket, key)
	}
	isMine := func(n snapshot.Name) bool { return n.Rolling("node-a") }
	for _, step := range []struct {
		olderThan time.Duration
		want      int
	}{{time.Hour, 0}, {-time.Minute, 1}, {-time.Minute, 0}} {
		got, err := b.Sweep(t.Context(), nil, isMine, step.olderThan)
		must(t, err)
		if got != step.want {
			t.Errorf("%d swept, not %d", got, step.want)
		}
	}
	all, err := b.Sweep(t.Context(), nil, func(snapshot.Name) bool { return true }, -time.Minute)
	must(t, err)
	if all != 1 {
		t.Errorf("%d of all nodes swept, not 1", all)
	}
}

// An answer that gets lost after the work is done costs nothing.
func TestLostAnswerOfCompleteIsNoFailure(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	complete := func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "uploadId")
	}
	faults.Set(s3test.When(complete, s3test.First(1, s3test.Truncate(0))))
	n, data := rolling(t, 0), noise(part+1)
	put(t, b, n, data)
	wantStored(t, b, n, data)
}
