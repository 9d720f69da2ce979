package s3test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// skewLimit is how far S3 lets a client's clock be from its own.
const skewLimit = 15 * time.Minute

// When runs the fault on the requests that match and leaves the others alone.
func When(match func(*http.Request) bool, fault Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if match(r) {
			fault(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// First runs the fault on the first n requests that reach it, and leaves the later ones alone.
func First(n int64, fault Fault) Fault {
	var count atomic.Int64
	return When(func(*http.Request) bool { return count.Add(1) <= n }, fault)
}

// Method matches requests of one method, such as [http.MethodDelete].
func Method(method string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method }
}

// Download matches the requests that get an object, whole or in part, unlike those that get a list.
func Download(r *http.Request) bool {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	return r.Method == http.MethodGet && key != "" && !query.Has("uploadId") && !query.Has("retention") && !query.Has("legal-hold")
}

// Refuse answers with an HTTP status and an error of S3, such as 403 and AccessDenied, after it has read the request's body.
func Refuse(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { refuse(w, r, status, code) }
}

// SlowDown answers 503 SlowDown, which asks the client to come again later.
func SlowDown() Fault { return Refuse(http.StatusServiceUnavailable, "SlowDown") }

// Skew acts as a server whose clock is ahead of the client's by d, or behind for a negative one: Date headers tell so, and
// beyond 15 minutes each request gets 403 RequestTimeTooSkewed.
func Skew(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		shifted := func(h http.Header) { h.Set("Date", time.Now().Add(d).UTC().Format(http.TimeFormat)) }
		if d.Abs() > skewLimit {
			shifted(w.Header())
			refuse(w, r, http.StatusForbidden, "RequestTimeTooSkewed")
			return
		}
		next.ServeHTTP(&answer{ResponseWriter: w, head: shifted}, r)
	}
}

// refuse reads the body first: a server that closes before can make the client see a reset in place of the answer.
func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body) // a client that breaks off needs no answer
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(struct { // likewise
		XMLName             xml.Name `xml:"Error"`
		Code, Message       string
		Resource, RequestId string // the names of S3's XML
	}{Code: code, Message: fmt.Sprintf("%s, says the test's proxy", code), Resource: r.URL.Path, RequestId: "s3test"})
}
