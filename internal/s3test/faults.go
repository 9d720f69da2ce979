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

// skewLimit is the maximum difference between the clocks of client and server that S3 accepts.
const skewLimit = 15 * time.Minute

// When applies the fault to the requests that match, and passes the others.
func When(match func(*http.Request) bool, fault Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if match(r) {
			fault(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// First applies the fault to the first n requests that reach it, and passes later ones.
func First(n int64, fault Fault) Fault {
	var count atomic.Int64
	return When(func(*http.Request) bool { return count.Add(1) <= n }, fault)
}

// Method matches requests of one method, such as [http.MethodDelete].
func Method(method string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method }
}

// Download matches requests for an object or a part of it, but not for a listing.
func Download(r *http.Request) bool {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	return r.Method == http.MethodGet && key != "" && !query.Has("uploadId") && !query.Has("retention") && !query.Has("legal-hold")
}

// Refuse answers with an HTTP status and an S3 error code, such as 403 and AccessDenied, after it has read the request's body.
func Refuse(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { refuse(w, r, status, code) }
}

// SlowDown answers 503 SlowDown, which asks the client to retry later.
func SlowDown() Fault { return Refuse(http.StatusServiceUnavailable, "SlowDown") }

// Skew simulates a server whose clock is ahead of the client's by d, or behind if d is negative: Date headers show its time, and
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

func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	refuseWith(w, r, status, code, fmt.Sprintf("%s, says the test's proxy", code))
}

// refuseWith reads the body first: if a server closes the connection earlier, the client may see a reset instead of the response.
func refuseWith(w http.ResponseWriter, r *http.Request, status int, code, message string) {
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
	}{Code: code, Message: message, Resource: r.URL.Path, RequestId: "s3test"})
}
