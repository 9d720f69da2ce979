package s3_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
)

// endless answers with text that has no end, a piece each pause. The client ends it.
func endless(status int, header http.Header, piece string, pause time.Duration) s3test.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		if r.Method == http.MethodHead { // it has no body
			return
		}
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(piece)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(pause):
			}
		}
	}
}

// An answer without an end costs neither memory nor time, and is not tried again.
func TestEndlessAnswersAreCutOff(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n := rolling(t, 0)
	putArchive(t, b, n, storetest.Archive(t, n, 20000))
	for what, header := range map[string]http.Header{
		"with a range": {"Content-Range": {"bytes 0-19999/20000"}, "Etag": {`"x"`}, "Last-Modified": {"Sat, 28 Nov 2026 20:00:00 GMT"}}, "without a date": {"Etag": {`"x"`}},
	} {
		faults.Set(s3test.When(s3test.Method(http.MethodGet), endless(http.StatusPartialContent, header, strings.Repeat("Z", 64<<10), 0)))
		before := len(faults.Requests())
		_, _, err := b.Tail(t.Context(), n)
		wantError(t, err, s3.ErrHost, "how long it is")
		_, err = get(t, b, n)
		wantError(t, err, s3.ErrHost, "how long it is")
		if tries := len(faults.Requests()) - before; tries != 2 {
			t.Errorf("%s: %d requests, want 2", what, tries)
		}
	}
	for _, status := range []int{http.StatusForbidden, http.StatusBadRequest, http.StatusInternalServerError} {
		faults.Set(endless(status, http.Header{"Content-Type": {"application/xml"}, "X-Amz-Request-Id": {"1"}}, "<Error><Code>AccessDenied</Code><Message>"+strings.Repeat("A", 64<<10), 0))
		_, err := b.List(t.Context())
		if err == nil {
			t.Errorf("%d: a listing", status)
		}
		for _, p := range b.Probe(t.Context()) {
			if p.Err == nil && p.Action != "clock" {
				t.Errorf("%d: %s works", status, p.Action)
			}
		}
	}
}

// A refusal that comes byte by byte is not waited for, also where a transfer may take any time.
func TestSlowRefusalEndsAfterOneStall(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	c.Stall = 300 * time.Millisecond
	b := open(t, c)
	faults.Set(endless(http.StatusForbidden, http.Header{"Content-Type": {"application/xml"}}, "<", 20*time.Millisecond))
	n := rolling(t, 0)
	err := b.PutArchive(t.Context(), n, opened(t, storetest.Archive(t, n, 20000)), true, nil)
	wantError(t, err, s3.ErrTimeout)
}

func TestHintNamesNoRegionThatIsNone(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	for region, named := range map[string]bool{"eu-central-9": true, "eu&#10;--s3-folder x": false, "$(reboot)": false} {
		faults.Set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte("<Error><Code>AuthorizationHeaderMalformed</Code><Message>x</Message><Region>" + region + "</Region></Error>"))
		})
		_, err := b.List(t.Context())
		wantError(t, err, s3.ErrConfig)
		if got := strings.Contains(err.Error(), "the bucket is in "); got != named {
			t.Errorf("%q: %v", region, err)
		}
	}
}
