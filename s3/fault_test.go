package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// However far an upload gets before every connection breaks: a clean error and nothing stored, or all of it.
func TestResetUploadStoresAllOrNothing(t *testing.T) {
	t.Parallel()
	const size = 512 << 10
	for _, after := range []int64{0, 1, 400, 1000, 5000, 64 << 10, 200_000, size - 1, size + 1<<20} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			proxy := s3test.RunProxy(t, server.Target)
			b, c := bed(t, proxy.Target)
			direct := c
			direct.Endpoint = server.URL()
			must(t, proxy.ResetAfter(after))
			n, data := rolling(t, 0), noise(size)
			err := tryPut(t, b, n, data)
			if err == nil {
				wantStored(t, open(t, direct), n, data)
			} else {
				wantError(t, err, s3.ErrConnection, "put "+n.String())
				wantList(t, open(t, direct))
			}
			must(t, proxy.Clear())
			put(t, b, n, data)
			wantStored(t, b, n, data)
		})
	}
}

// A download is taken up where it broke, as long as each connection brings something.
func TestResetDownloadIsResumed(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	for after, ends := range map[int64]bool{100: false, 8000: true, 300_000: true, 700_000: true, size + 4096: true} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			proxy := s3test.RunProxy(t, server.Target)
			b, _ := bed(t, proxy.Target)
			n, data := rolling(t, 0), noise(size)
			if after == 8000 {
				data = data[:32<<10]
			}
			put(t, b, n, data)
			must(t, proxy.ResetAnswerAfter(after))
			got, err := get(t, b, n)
			if ends && (err != nil || !bytes.Equal(got, data)) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if !ends {
				wantError(t, err, s3.ErrConnection)
			}
			if !bytes.HasPrefix(data, got) {
				t.Error("other bytes than were put")
			}
		})
	}
}

// What was replaced meanwhile is not sewn onto the old beginning.
func TestDownloadOfAReplacedObjectFails(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n := rolling(t, 0)
	put(t, b, n, noise(1<<20))
	faults.Set(s3test.First(1, s3test.When(s3test.Download, s3test.Truncate(1000))))
	r, _, err := b.Get(t.Context(), n)
	must(t, err)
	defer r.Close()
	put(t, b, n, noise(1<<20+1))
	if _, err = io.ReadAll(r); err == nil {
		t.Error("no error")
	} else {
		wantClean(t, err)
	}
}

func TestCallsAreRepeatedWhileTheServerIsBusy(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n, data := rolling(t, 0), noise(part+1)
	faults.Set(s3test.First(3, s3test.SlowDown()))
	var done int64
	must(t, b.Put(t.Context(), n, bytes.NewReader(data), int64(len(data)), func(d, _ int64) { done = d }))
	if done != int64(len(data)) {
		t.Errorf("progress ended at %d of %d", done, len(data))
	}
	faults.Set(s3test.First(2, s3test.SlowDown()))
	wantStored(t, b, n, data)
	faults.Set(s3test.SlowDown())
	_, err := b.List(t.Context())
	wantError(t, err, s3.ErrBusy, "SlowDown")
	if s3.Class(err) != "busy" {
		t.Errorf("class %s", s3.Class(err))
	}
}

func TestWrongClockIsReported(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n := rolling(t, 0)
	put(t, b, n, []byte("x"))
	faults.Set(s3test.Skew(-20 * time.Minute))
	_, err := b.List(t.Context())
	wantError(t, err, s3.ErrClock, "ahead of the server's", "NTP")
	wantError(t, b.Remove(t.Context(), n), s3.ErrClock)
	wantError(t, tryPut(t, b, n, []byte("x")), s3.ErrClock)
	if s := b.Skew(); s < 19*time.Minute || s > 21*time.Minute {
		t.Errorf("skew %s", s)
	}
	faults.Set(s3test.Skew(12 * time.Minute))
	lines := b.Probe(t.Context())
	last := lines[len(lines)-1]
	if !errors.Is(last.Err, s3.ErrClock) || !strings.Contains(last.Err.Error(), "behind the server's") {
		t.Errorf("%+v", last)
	}
}

// Bytes that change on the way are found, sent again, and never counted.
func TestAlteredUploadIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, checksum := range []string{s3.ChecksumAuto, s3.ChecksumMD5} {
		for _, size := range []int{1000, part + 1000} {
			t.Run(fmt.Sprint(checksum, size), func(t *testing.T) {
				t.Parallel()
				_, faults, c := shared(t)
				c.Checksum = checksum
				b, n, data := open(t, c), rolling(t, 0), noise(size)
				faults.Set(alter)
				wantError(t, tryPut(t, b, n, data), s3.ErrChecksum)
				faults.Set(nil)
				wantList(t, b)
				faults.Set(s3test.First(2, alter))
				put(t, b, n, data)
				faults.Set(nil)
				wantStored(t, b, n, data)
			})
		}
	}
}

// alter changes a byte of what the client sends.
func alter(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method == http.MethodPut {
		r.Body = &altered{r.Body, 500}
	}
	next.ServeHTTP(w, r)
}

type altered struct {
	io.ReadCloser
	at int
}

func (a *altered) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if a.at >= 0 && a.at < n {
		p[a.at] ^= 1
	}
	a.at -= n
	return n, err
}

// A server that keeps other bytes than it took does not get away with it.
func TestWrongAnswerOfTheServerIsFound(t *testing.T) {
	t.Parallel()
	for _, lie := range []struct {
		checksum, header, value string
		kind                    error
		words                   string
	}{
		{s3.ChecksumAuto, "X-Amz-Checksum-Crc32c", "AAAAAA==", s3.ErrChecksum, "CRC-32C"},
		{s3.ChecksumAuto, "Content-Length", "7", s3.ErrChecksum, "stored 7 bytes, not 1000"},
		{s3.ChecksumMD5, "Content-Length", "7", s3.ErrChecksum, "stored 7 bytes, not 1000"},
		{s3.ChecksumMD5, "Etag", `"d41d8cd98f00b204e9800998ecf8427e"`, s3.ErrChecksum, "ETag"},
	} {
		_, faults, c := shared(t)
		c.Checksum = lie.checksum
		b := open(t, c)
		faults.Set(s3test.When(s3test.Method(http.MethodHead), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			honest := httptest.NewRecorder()
			next.ServeHTTP(honest, r)
			for k, v := range honest.Header() {
				w.Header()[k] = v
			}
			w.Header().Set(lie.header, lie.value)
			w.WriteHeader(honest.Code)
		}))
		wantError(t, tryPut(t, b, rolling(t, 0), noise(1000)), lie.kind, lie.words)
		faults.Set(nil)
		wantList(t, b) // what is wrong does not stay under a good name
	}
}

// The archive's own trouble is not taken for the server's.
func TestFailingDiskIsNotTakenForTheServer(t *testing.T) {
	t.Parallel()
	b, _, _ := shared(t)
	for _, size := range []int64{1000, part + 1000} {
		err := b.Put(t.Context(), rolling(t, 0), bytes.NewReader(noise(999)), size, nil)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "read archive") {
			t.Errorf("short archive: %v", err)
		}
		err = b.Put(t.Context(), rolling(t, 0), newBadDisk(1), size, nil)
		if !errors.Is(err, errDisk) || s3.Transient(err) {
			t.Errorf("bad disk: %v", err)
		}
	}
	if err := b.Put(t.Context(), rolling(t, 0), bytes.NewReader(nil), 5<<40+1, nil); err == nil {
		t.Error("more than 5 TiB were taken")
	}
	wantList(t, b)
	_, _, err := b.Tail(t.Context(), rolling(t, 0))
	wantError(t, err, snapshot.ErrNotFound)
}

var errDisk = errors.New("input/output error")

// badDisk gives zeros for the first reads.
type badDisk struct{ good atomic.Int32 }

func newBadDisk(good int32) *badDisk {
	d := new(badDisk)
	d.good.Store(good)
	return d
}

func (d *badDisk) ReadAt(p []byte, _ int64) (int, error) {
	if d.good.Add(-1) < 0 {
		return 0, errDisk
	}
	return len(p), nil
}
