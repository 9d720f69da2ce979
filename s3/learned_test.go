package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// A server that refuses or ignores a header gets what it takes. That is reported once, and the next Bucket does not try again.
func TestUploadAdaptsToTheServer(t *testing.T) {
	t.Parallel()
	const condition, checksum = "If-None-Match", "S3's own checksums"
	for make, tc := range map[string]struct {
		fault   s3test.Fault
		notices []string
	}{
		"Backblaze B2":                {s3test.Backblaze(), []string{checksum}},
		"Cloudflare R2":               {s3test.Cloudflare(), []string{checksum}},
		"ignores checksums":           {s3test.WithoutChecksums(), []string{checksum}},
		"says not which":              {s3test.OldServer("X-Amz-Checksum-"), []string{checksum}},
		"refuses at the end":          {s3test.When(completesUpload, s3test.OldServer("X-Amz-Checksum-")), []string{checksum}},
		"refuses to look":             {s3test.When(s3test.Method(http.MethodHead), s3test.Backblaze()), []string{checksum}},
		"knows no condition":          {s3test.OldServer("If-None-Match"), []string{condition}},
		"knows neither":               {s3test.OldServer("If-None-Match", "X-Amz-Checksum-"), []string{checksum, condition}},
		"ignores checksums and ETags": {s3test.All(s3test.WithoutChecksums(), s3test.OtherETags()), []string{checksum}},
	} {
		for _, sse := range []string{"", "kms"} {
			t.Run(strings.TrimSpace(make+" "+sse), func(t *testing.T) {
				t.Parallel()
				_, faults, c := shared(t)
				var mu sync.Mutex
				var notices []string
				c.SSE, c.Learned = sse, &s3.Learned{Notice: func(text string) {
					mu.Lock()
					defer mu.Unlock()
					notices = append(notices, text)
				}}
				refused := 0
				faults.Set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					seen := false
					tc.fault(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						seen = true
						next.ServeHTTP(w, r)
					}))
					mu.Lock()
					defer mu.Unlock()
					if !seen {
						refused++
					}
				})
				n, whole := archiveOf(t, part+512)
				must(t, open(t, c).PutArchive(t.Context(), n, opened(t, whole), false, nil))
				wantStored(t, open(t, c), n, whole)
				wantNoUploads(t, c.Bucket, n)
				if len(notices) != len(tc.notices) || !slices.EqualFunc(notices, tc.notices, strings.Contains) {
					t.Errorf("noticed %q, want %q", notices, tc.notices)
				}
				before := refused
				small := rolling(t, 1)
				put(t, open(t, c), small, noise(1000))
				wantStored(t, open(t, c), small, noise(1000))
				for _, p := range open(t, c).Probe(t.Context()) {
					if p.Err != nil {
						t.Errorf("%s: %v", p.Action, p.Err)
					}
				}
				if refused != before || len(notices) != len(tc.notices) {
					t.Errorf("refused %d times more, noticed %q", refused-before, notices)
				}
			})
		}
	}
}

// The other way is tried only for what it may help with, and the server's first word is the one that is reported.
func TestWrongSettingIsNotTakenForARefusedHeader(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	c.StorageClass = "NO-SUCH-CLASS"
	n, whole := archiveOf(t, 512)
	wantError(t, open(t, c).PutArchive(t.Context(), n, opened(t, whole), false, nil), s3.ErrConfig, "--s3-storage-class")
	puts := 0
	for _, r := range faults.Requests() {
		if r.Method == http.MethodPut && strings.HasSuffix(r.Path, n.String()) {
			puts++
		}
	}
	if puts != 1 {
		t.Errorf("sent %d times", puts)
	}
	c.StorageClass = ""
	c.Learned = &s3.Learned{Notice: func(text string) { t.Errorf("noticed %q", text) }}
	faults.Set(s3test.When(s3test.Method(http.MethodPut), s3test.Refuse(http.StatusBadRequest, "InvalidRequest")))
	wantError(t, open(t, c).PutArchive(t.Context(), n, opened(t, whole), false, nil), s3.ErrConfig, "InvalidRequest")
	wantList(t, open(t, c))
}

// With the checksum in doubt, a damaged archive is refused as ever.
func TestDamagedArchiveIsRefusedByEveryMake(t *testing.T) {
	t.Parallel()
	for _, fault := range []s3test.Fault{s3test.Backblaze(), s3test.WithoutChecksums(), s3test.OldServer("If-None-Match")} {
		for _, size := range []int{512, part + 512} {
			_, faults, c := shared(t)
			faults.Set(fault)
			n, whole := archiveOf(t, size)
			whole[0] ^= 1
			if err := open(t, c).PutArchive(t.Context(), n, opened(t, whole), false, nil); !errors.Is(err, snapshot.ErrDamaged) {
				t.Error(err)
			}
			wantList(t, open(t, c))
		}
	}
}

// Without the condition, an object that is there is found by a look before.
func TestServerWithoutConditionKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	faults.Set(s3test.OldServer("If-None-Match"))
	b := open(t, c)
	for i, size := range []int{512, part + 512} {
		n := rolling(t, i)
		put(t, b, n, noise(100))
		_, whole := archiveOf(t, size)
		wantError(t, b.PutArchive(t.Context(), n, opened(t, whole), false, nil), snapshot.ErrExists)
		wantStored(t, b, n, noise(100))
	}
}

// The probe goes the way of an upload, and says which one it found.
func TestProbeReportsHowUploadsAreProven(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]s3test.Fault{"CRC-32C": nil, "size and MD5": s3test.Backblaze()} {
		_, faults, c := shared(t)
		faults.Set(fault)
		if line := probed(t, open(t, c), "s3:PutObject"); line.Err != nil || !strings.Contains(line.Detail, "proven by ") || !strings.Contains(line.Detail, want) {
			t.Errorf("%+v, want %s", line, want)
		}
		wantEmpty(t, c)
	}
	_, faults, c := shared(t)
	c.LockMode, c.LockFor = "governance", time.Hour
	if line := probed(t, open(t, c), "s3:PutObject, s3:PutObjectRetention"); !errors.Is(line.Err, s3.ErrConfig) {
		t.Errorf("a bucket without Object Lock: %+v", line)
	}
	c.LockFor = 0
	faults.Set(s3test.When(completesUpload, s3test.Refuse(http.StatusNotImplemented, "NotImplemented")))
	lines := open(t, c).Probe(t.Context())
	i := slices.IndexFunc(lines, func(p s3.Permission) bool { return strings.Contains(p.Purpose, "in parts") })
	if i < 0 || lines[i].Optional || !errors.Is(lines[i].Err, s3.ErrConfig) {
		t.Errorf("a server without uploads in parts: %v", fmt.Sprint(lines))
	}
	faults.Set(nil)
	wantEmpty(t, c)
}

// wantEmpty demands that a bucket has no object at all.
func wantEmpty(t *testing.T, c s3.Config) {
	t.Helper()
	keys, err := bucketStore{client: s3test.Dial(t, server.Target), config: c}.Keys(t.Context())
	must(t, err)
	if len(keys) > 0 {
		t.Errorf("%q are left", keys)
	}
}

// Whoever stops a probe leaves nothing of it behind.
func TestInterruptedProbeLeavesNothing(t *testing.T) {
	t.Parallel()
	for what, moment := range map[string]func(*http.Request) bool{
		"stored":          s3test.Method(http.MethodPut),
		"stored in parts": completesUpload,
		"read":            s3test.Download,
	} {
		t.Run(what, func(t *testing.T) {
			_, faults, c := shared(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			faults.Set(s3test.When(moment, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(httptest.NewRecorder(), r)
				cancel()
				panic(http.ErrAbortHandler)
			}))
			lines := open(t, c).Probe(ctx)
			if !slices.ContainsFunc(lines, func(p s3.Permission) bool { return errors.Is(p.Err, context.Canceled) }) {
				t.Errorf("it was not interrupted: %v", lines)
			}
			wantEmpty(t, c)
		})
	}
}

// The second make of server is real here: it takes the headers and stores no checksum of objects in parts.
func TestUploadAdaptsToGofakes3(t *testing.T) {
	t.Parallel()
	_, c := bed(t, s3test.RunFake(t).Target)
	var notices []string
	c.Checksum, c.Learned = s3.ChecksumAuto, &s3.Learned{Notice: func(text string) { notices = append(notices, text) }}
	n, whole := archiveOf(t, part+512)
	must(t, open(t, c).PutArchive(t.Context(), n, opened(t, whole), false, nil))
	wantStored(t, open(t, c), n, whole)
	if len(notices) != 1 {
		t.Errorf("noticed %q", notices)
	}
}

// A server that refuses a header need not wait for the body: its answer arrives all the same.
func TestRefusalBeforeTheBodyIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3 << 20, part - 8<<10, part + 3<<20} {
		_, faults, c := shared(t)
		faults.Set(s3test.When(s3test.Method(http.MethodPut), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("X-Amz-Checksum-Crc32c") == "" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/xml")
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<Error><Code>InvalidArgument</Code><Message>Unsupported header</Message></Error>") // a client that breaks off needs no answer
		}))
		n, whole := archiveOf(t, size)
		must(t, open(t, c).PutArchive(t.Context(), n, opened(t, whole), false, nil))
		wantStored(t, open(t, c), n, whole)
	}
}
