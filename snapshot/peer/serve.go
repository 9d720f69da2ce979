package peer

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"etcd-rolling-backup/internal/connlimit"
	"etcd-rolling-backup/snapshot"
)

const (
	headerTimeout = 10 * time.Second // for the TLS handshake, and for the header of a request
	idleTimeout   = 30 * time.Second
	grace         = 3 * time.Second // for running transfers after ctx has ended
	// maxConnections allows several connections for each member of the largest clusters.
	maxConnections = 64
	maxHeader      = 16 << 10
)

// Offer is the one snapshot that is served. Its bytes must not change while it is served.
type Offer struct {
	Name    string      // a file name, under which it is fetched
	Archive io.ReaderAt // read by several goroutines
	Size    int64       // bytes
}

// Event is one request, or one connection that sent none.
type Event struct {
	Remote string // address of the client; "" if only Err contains it
	Client string // common name of its certificate
	Method string
	Path   string
	Status int   // of the answer
	Bytes  int64 // of the answer's body
	Took   time.Duration
	Err    error // what aborted the answer, or why there was no request
}

// server is one call of Serve or ServeFile.
type server struct {
	Offer
	remote       Remote
	stall, grace time.Duration
	file         *pending // of ServeFile; nil: Serve

	mu      sync.Mutex
	observe func(Event)
}

// CheckServer checks that the certificate can be used to serve: it is valid, for servers, and signed by the CA. Errors are those
// of Serve.
func (id Identity) CheckServer() error {
	_, err := id.server()
	return err
}

func (id Identity) server() (loaded, error) {
	own, err := id.load()
	if err == nil {
		err = own.usable(x509.ExtKeyUsageServerAuth)
	}
	if err == nil {
		err = own.ofCA()
	}
	return own, err
}

// Serve offers one snapshot on l until ctx ends, then gives transfers a few seconds and returns nil. l is closed when it returns.
// First it reads the whole snapshot for its digest. observe is called for each request, one at a time; it may be nil. A
// certificate that is not for servers or that the CA did not sign is refused immediately (ErrCertificate).
func Serve(ctx context.Context, l net.Listener, id Identity, o Offer, observe func(Event)) error {
	s := &server{Offer: o, stall: stall, grace: grace, observe: observe}
	return s.serve(ctx, l, id)
}

func (s *server) serve(ctx context.Context, l net.Listener, id Identity) error {
	defer l.Close() // a second time if the HTTP server has closed it
	own, err := id.server()
	if err != nil {
		return err
	}
	if err := checkName(s.Name); err != nil {
		return err
	}
	if s.file == nil {
		if err := s.announce(ctx); err != nil {
			return err
		}
	}
	var connections sync.WaitGroup
	limiter := connlimit.New(maxConnections, true)
	h := &http.Server{
		Handler:           s,
		TLSConfig:         own.serverConfig(),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      s.stall, // each piece of an answer renews it
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// Otherwise "OPTIONS *" is answered without a call of observe.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(errorLog{s}, "", 0),
		ConnState: func(c net.Conn, state http.ConnState) {
			limiter.ConnState(c, state)
			switch state {
			case http.StateNew:
				connections.Add(1)
			case http.StateClosed, http.StateHijacked:
				connections.Done()
			}
		},
	}
	h.Protocols.SetHTTP1(true)
	ended := context.AfterFunc(ctx, func() { // transfers continue for a moment, then their connections are closed
		graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
		defer cancel()
		if h.Shutdown(graceful) != nil {
			_ = h.Close() // its error only lists the connections that it closes
		}
	})
	err = h.ServeTLS(l, "", "")
	failed := ended() // otherwise ctx has ended it
	if failed {
		_ = h.Close() // err has the reason
	}
	connections.Wait() // nobody reads the archive after this
	if failed {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// announce prepares the answer of /.
func (s *server) announce(ctx context.Context) (err error) {
	if s.Size <= 0 {
		return fmt.Errorf("%w: %s is empty", ErrConfig, s.Name)
	}
	s.remote, err = s.digest(ctx)
	return err
}

// digest reads the whole snapshot.
func (s *server) digest(ctx context.Context) (Remote, error) {
	sum := sha256.New()
	section := io.NewSectionReader(s.Archive, 0, s.Size)
	for done := int64(0); done < s.Size; {
		n, err := io.CopyN(sum, section, min(1<<20, s.Size-done))
		done += n
		switch {
		case ctx.Err() != nil:
			return Remote{}, context.Cause(ctx)
		case err != nil:
			return Remote{}, fmt.Errorf("read %s: after %d of %d bytes: %w", s.Name, done, s.Size, err)
		}
	}
	return Remote{Name: s.Name, Size: s.Size, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (s *server) tell(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observe != nil {
		s.observe(e)
	}
}

// errorLog turns the log lines of the HTTP server into events: connections that failed before a request.
type errorLog struct{ s *server }

func (l errorLog) Write(line []byte) (int, error) {
	text := strings.TrimPrefix(strings.Join(strings.Fields(string(line)), " "), "http: ")
	l.s.tell(Event{Err: errors.New(withHint(text, serverHints()))})
	return len(line), nil
}

// ServeHTTP compares the path of a request with those that it knows. Nothing is cleaned or redirected.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	out := &renewing{ResponseWriter: w, control: http.NewResponseController(w), patience: s.stall, status: http.StatusOK}
	out.renew()
	if r.ContentLength != 0 { // no request here has a body: a client that sends one slowly gains no time
		_ = out.control.SetReadDeadline(began.Add(headerTimeout)) // otherwise it waits as long as the client does
	}
	if s.file != nil {
		s.routeFile(out, r)
	} else {
		s.route(out, r)
	}
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
	case !reading(w, r):
	case r.RequestURI == "/":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer{Service: service, Remote: s.remote}) // w keeps its error
	default:
		s.content(w, r, s.Archive, s.Size, etag(s.remote.SHA256))
	}
}

// reading refuses all methods but two.
func reading(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	return false
}

func (s *server) content(w *renewing, r *http.Request, content io.ReaderAt, size int64, tag string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", tag)
	disk := &snapshot.Disk{ReaderAt: content}
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(disk, 0, size))
	if err := disk.Err(); err != nil { // http.ServeContent does not report it
		w.err = fmt.Errorf("read %s: %w", s.Name, err)
	}
}

// etag is the same for the same bytes only.
func etag(digest string) string { return `"` + digest + `"` }

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
