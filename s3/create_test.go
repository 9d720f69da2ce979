package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Another object of that name is never changed without replace, whenever it appears; with replace it is overwritten.
func TestPutLeavesAnotherObjectUnchanged(t *testing.T) {
	t.Parallel()
	for what, appears := range map[string]func(*http.Request) bool{
		"before":                                   nil,
		"small, between the look and the upload":   func(r *http.Request) bool { return r.Method == http.MethodPut },
		"large, between the look and the upload":   startsUpload,
		"large, between the parts and their union": completesUpload,
	} {
		for _, mode := range []string{s3.ChecksumAuto, s3.ChecksumMD5} {
			t.Run(what+" "+mode, func(t *testing.T) {
				t.Parallel()
				b, faults, cfg := sharedMode(t, mode)
				other := open(t, direct(t, cfg))
				size := 512
				if strings.HasPrefix(what, "large") {
					size += part
				}
				n, whole := archiveOf(t, size)
				theirs := bytes.Clone(whole)
				theirs[0] ^= 1
				if appears == nil {
					put(t, other, n, theirs)
				} else {
					var once sync.Once
					faults.Set(s3test.When(appears, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						once.Do(func() { put(t, other, n, theirs) })
						next.ServeHTTP(w, r)
					}))
				}
				wantError(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil), snapshot.ErrExists, n.String())
				wantStored(t, other, n, theirs)
				wantNoUploads(t, cfg.Bucket, n)
				must(t, b.PutArchive(t.Context(), n, opened(t, whole), true, nil))
				wantStored(t, other, n, whole)
			})
		}
	}
}

// An upload that arrived although its answer did not is a success, and is not sent again.
func TestPutOfAStoredArchiveSucceeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mode, sse string }{{s3.ChecksumAuto, ""}, {s3.ChecksumMD5, ""}, {s3.ChecksumAuto, "kms"}, {s3.ChecksumMD5, "kms"}} {
		for _, size := range []int{512, part + 512} {
			t.Run(fmt.Sprint(c, size), func(t *testing.T) {
				t.Parallel()
				_, faults, cfg := sharedMode(t, c.mode)
				cfg.SSE = c.sse
				b := open(t, cfg)
				n, whole := archiveOf(t, size)
				gives := func(r *http.Request) bool { return completesUpload(r) || size < part && r.Method == http.MethodPut }
				faults.Set(s3test.When(gives, s3test.First(1, s3test.Truncate(0))))
				must(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil))
				faults.Set(s3test.When(s3test.Method(http.MethodPut), s3test.Refuse(http.StatusForbidden, "AccessDenied")))
				must(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil))
				wantStored(t, b, n, whole)
			})
		}
	}
}

// Amazon answers 403 instead of 404 for a missing object to keys that may not list it.
func TestPutWithoutTheRightToLookSucceeds(t *testing.T) {
	t.Parallel()
	b, faults, cfg := sharedMode(t, s3.ChecksumAuto)
	faults.Set(s3test.When(s3test.Method(http.MethodHead), s3test.First(1, s3test.Refuse(http.StatusForbidden, "AccessDenied"))))
	n, whole := archiveOf(t, 512)
	must(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil))
	n2, other := rolling(t, 1), noise(1000)
	put(t, open(t, direct(t, cfg)), n2, other)
	faults.Set(s3test.When(s3test.Method(http.MethodHead), s3test.First(1, s3test.Refuse(http.StatusForbidden, "AccessDenied"))))
	if err := b.PutArchive(t.Context(), n2, opened(t, whole), false, nil); !errors.Is(err, snapshot.ErrExists) {
		t.Error(err)
	}
	wantStored(t, b, n2, other)
}

func startsUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}

func completesUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// Nodes of RKE give their snapshots the same name. What another has stored after our upload is its own, and no damage of ours.
func TestVerifyLeavesTheVersionOfAnotherProcess(t *testing.T) {
	t.Parallel()
	for what, size := range map[string]int{"small": 512, "large": part + 512} {
		for _, mode := range []string{s3.ChecksumAuto, s3.ChecksumMD5} {
			t.Run(what+" "+mode, func(t *testing.T) {
				t.Parallel()
				_, faults, cfg := sharedMode(t, mode)
				must(t, s3test.Dial(t, server.Target).EnableVersioning(t.Context(), cfg.Bucket))
				b, other := open(t, cfg), open(t, direct(t, cfg))
				n, whole := archiveOf(t, size)
				theirs := bytes.Clone(whole)
				theirs[0] ^= 1
				var once sync.Once
				isStat := func(r *http.Request) bool { return r.Method == http.MethodHead }
				faults.Set(s3test.When(isStat, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					once.Do(func() { put(t, other, n, theirs) })
					next.ServeHTTP(w, r)
				}))
				wantError(t, b.PutArchive(t.Context(), n, opened(t, whole), true, nil), snapshot.ErrExists, n.String())
				once.Do(func() { t.Error("nothing was stored meanwhile") })
				wantStored(t, other, n, theirs)
			})
		}
	}
}
