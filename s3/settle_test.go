package s3_test

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Two that bring the same snapshot at once both succeed, although the first to end clears the other's upload away. Whether
// its answer or a broken connection arrives then is a race with MinIO.
func TestTwoUploadsOfTheSameBothSucceed(t *testing.T) {
	t.Parallel()
	n, whole := archiveOf(t, 2*part) // three parts
	for what, c := range map[string]struct {
		mode   string
		answer s3test.Fault
	}{
		"minio": {s3.ChecksumAuto, pass}, "minio, md5": {s3.ChecksumMD5, pass},
		"answered": {s3.ChecksumAuto, noUpload()}, "broken": {s3.ChecksumAuto, breakOff},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b, faults, cfg := sharedMode(t, c.mode)
			other := open(t, direct(t, cfg))
			var met sync.Once
			faults.Set(s3test.When(sendsPart(2), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				met.Do(func() {
					if err := other.PutArchive(t.Context(), n, opened(t, whole), false, nil); err != nil {
						t.Error(err)
					}
				})
				c.answer(w, r, next)
			}))
			must(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil))
			met.Do(func() { t.Error("the two did not meet") })
			wantStored(t, other, n, whole)
			wantNoUploads(t, cfg.Bucket, n)
		})
	}
}

func pass(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

func breakOff(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func noUpload() s3test.Fault { return s3test.Refuse(http.StatusNotFound, minio.NoSuchUpload) }

// Who loses the upload to somebody else, without all of it being there, is told so, and what is there stays.
func TestUploadEndedByAnotherIsReported(t *testing.T) {
	t.Parallel()
	n, whole := archiveOf(t, 2*part) // three parts
	altered := bytes.Clone(whole)
	altered[0] ^= 1
	for what, c := range map[string]struct {
		mode, sse    string
		mine, theirs []byte // nil: they bring nothing
		answer       s3test.Fault
		want         error
	}{
		"other bytes":         {s3.ChecksumAuto, "", whole, altered, noUpload(), s3.ErrChecksum},
		"other bytes, md5":    {s3.ChecksumMD5, "", whole, altered, noUpload(), s3.ErrChecksum},
		"other bytes, broken": {s3.ChecksumAuto, "", whole, altered, breakOff, s3.ErrConnection},
		"without a checksum":  {s3.ChecksumMD5, "kms", whole, altered, noUpload(), s3.ErrChecksum},
		"another size":        {s3.ChecksumAuto, "", whole, noise(2 * part), noUpload(), s3.ErrChecksum},
		"mine is the damaged": {s3.ChecksumAuto, "", altered, whole, noUpload(), snapshot.ErrDamaged},
		"nothing":             {s3.ChecksumAuto, "", whole, nil, noUpload(), s3.ErrBusy},
		"nothing, broken":     {s3.ChecksumAuto, "", whole, nil, breakOff, s3.ErrConnection},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, faults, cfg := sharedMode(t, c.mode)
			cfg.SSE = c.sse
			b, other := open(t, cfg), open(t, direct(t, cfg))
			var ended sync.Once
			faults.Set(lastOfAll(t, 2, parts(c.mine), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				ended.Do(func() {
					if c.theirs != nil {
						put(t, other, n, c.theirs)
					}
				})
				c.answer(w, r, next)
			}))
			if err := b.PutArchive(t.Context(), n, opened(t, c.mine), true, nil); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if c.theirs != nil {
				wantStored(t, other, n, c.theirs)
			}
		})
	}
}

// lastOfAll runs the fault on one of an upload's parts once the server has answered all the others. So whatever the fault does to
// the upload, no other part can be on its way and fail of it first.
func lastOfAll(t *testing.T, number, parts int, fault s3test.Fault) s3test.Fault {
	answered := make(chan struct{})
	var mu sync.Mutex
	others := map[string]bool{}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		part := r.URL.Query().Get("partNumber")
		switch part {
		case "":
			next.ServeHTTP(w, r)
		case strconv.Itoa(number):
			select {
			case <-answered:
				fault(w, r, next)
			case <-t.Context().Done():
			}
		default:
			next.ServeHTTP(w, r)
			mu.Lock()
			defer mu.Unlock()
			if others[part] {
				return
			}
			if others[part] = true; len(others) == parts-1 {
				close(answered)
			}
		}
	}
}

// parts is how many an upload of the archive has.
func parts(archive []byte) int {
	n, _, _ := s3.Split(int64(len(archive)))
	return n
}

// sharedMode is shared with a checksum mode.
func sharedMode(t *testing.T, mode string) (*s3.Bucket, *s3test.HTTPFaults, s3.Config) {
	t.Helper()
	_, faults, c := shared(t)
	c.Checksum = mode
	return open(t, c), faults, c
}

// direct is the same bucket past every fault.
func direct(t *testing.T, c s3.Config) s3.Config {
	t.Helper()
	to := config(t, server.Target, c.Bucket)
	to.Checksum, to.SSE = c.Checksum, c.SSE
	return to
}

func sendsPart(number int) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == strconv.Itoa(number) }
}
