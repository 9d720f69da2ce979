package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"etcd-rolling-backup/snapshot"
)

// ServeHTTP serves two paths, exactly as they are in the request: nothing is decoded, cleaned or redirected.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	out := &renewing{ResponseWriter: w, control: http.NewResponseController(w), patience: s.stall, status: http.StatusOK}
	out.renew()
	if r.ContentLength != 0 { // no request here has a body: a client that sends one slowly gains no time
		_ = out.control.SetReadDeadline(began.Add(headerTimeout)) // otherwise it waits as long as the client does
	}
	s.route(out, r)
	e := Event{
		Remote: r.RemoteAddr, Method: r.Method, Path: r.RequestURI,
		Status: out.status, Bytes: out.bytes, Took: time.Since(began), Err: out.err,
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		e.Client = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	s.tell(e)
}

func (s *server) route(w *renewing, r *http.Request) {
	known := r.RequestURI == "/" || r.RequestURI == "/"+url.PathEscape(s.Name)
	switch {
	case !known:
		http.Error(w, "nothing here: / returns the snapshot's name", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	case r.RequestURI == "/":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer{Service: service, Remote: s.remote}) // w keeps its error
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("ETag", etag(s.remote))
		archive := &remembering{ReaderAt: s.Archive}
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(archive, 0, s.Size))
		if err := archive.err.Load(); err != nil {
			w.err = fmt.Errorf("read %s: %w", s.Name, *err)
		}
	}
}

// remembering keeps the error of a failed disk, which http.ServeContent does not report. For several ranges it reads in a
// goroutine that may outlive it.
type remembering struct {
	io.ReaderAt
	err atomic.Pointer[error]
}

func (r *remembering) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

func etag(r Remote) string { return `"` + r.SHA256 + `"` }

// renewing gives each piece of an answer its own deadline and remembers how the answer ended.
type renewing struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	status   int
	bytes    int64
	err      error
}

func (w *renewing) renew() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.patience)) // fails on a dead connection, as Write does then
}

func (w *renewing) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write writes one piece, of 32 KiB if it is the snapshot.
func (w *renewing) Write(p []byte) (int, error) {
	w.renew()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	switch {
	case err == nil || w.err != nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.err = fmt.Errorf("%w: the client read nothing for %s", snapshot.ErrStalled, w.patience)
	default:
		w.err = err
	}
	return n, err
}
