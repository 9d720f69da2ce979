package peer

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	headerTimeout = 10 * time.Second // for the TLS handshake, and for a request's head
	idleTimeout   = 30 * time.Second
	grace         = 3 * time.Second // for transfers when ctx has ended
	// maxConnections is several for each member of the largest clusters.
	maxConnections = 64
	maxHeader      = 16 << 10
)

// Offer is the one snapshot that is served. Its bytes must not change meanwhile.
type Offer struct {
	Name    string      // a file's name, under which it is fetched
	Archive io.ReaderAt // read by several goroutines
	Size    int64       // bytes
}

// Event is one request, or one connection that came to none.
type Event struct {
	Remote string // address of the client; "" where only Err tells it
	Client string // common name of its certificate
	Method string
	Path   string
	Status int   // of the answer
	Bytes  int64 // of the answer's body
	Took   time.Duration
	Err    error // what broke the answer off, or why there was no request
}

// server is one Serve.
type server struct {
	Offer
	remote       Remote
	stall, grace time.Duration

	mu      sync.Mutex
	observe func(Event)
}

// CheckServer tells whether the certificate can serve: it is valid, a server's, and of the CA. Errors are those of Serve.
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

// Serve offers one snapshot on l until ctx ends, then gives transfers a few seconds and returns nil; l is closed when it
// returns. It first reads the snapshot once, for its digest. observe, which may be nil, hears of each request, one at a
// time. A certificate that is no server's or not of the CA is refused at once (ErrCertificate).
func Serve(ctx context.Context, l net.Listener, id Identity, o Offer, observe func(Event)) error {
	s := &server{Offer: o, stall: stall, grace: grace, observe: observe}
	return s.serve(ctx, l, id)
}

func (s *server) serve(ctx context.Context, l net.Listener, id Identity) error {
	defer l.Close() // a second time when the HTTP server has done so
	own, err := id.server()
	if err != nil {
		return err
	}
	if err := checkName(s.Name); err != nil {
		return err
	}
	if s.Size <= 0 {
		return fmt.Errorf("%w: %s is empty", ErrConfig, s.Name)
	}
	if s.remote, err = s.digest(ctx); err != nil {
		return err
	}
	var connections sync.WaitGroup
	h := &http.Server{
		Handler:           s,
		TLSConfig:         own.serverConfig(),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      s.stall, // renewed by each piece of an answer
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// Or else "OPTIONS *" gets an answer that no observer hears of.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(errorLog{s}, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				connections.Add(1)
			case http.StateClosed, http.StateHijacked:
				connections.Done()
			}
		},
	}
	h.Protocols.SetHTTP1(true)
	ended := context.AfterFunc(ctx, func() { s.end(ctx, h) })
	err = h.ServeTLS(netutil.LimitListener(l, maxConnections), "", "")
	failed := ended() // or else ctx has ended it
	if failed {
		_ = h.Close() // err tells why
	}
	connections.Wait() // nobody reads the archive after this
	if failed {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// end lets transfers go on for a moment, then cuts them.
func (s *server) end(ctx context.Context, h *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if h.Shutdown(ctx) != nil {
		_ = h.Close() // what it says of connections that are cut is of no use
	}
}

// digest reads the whole snapshot.
func (s *server) digest(ctx context.Context) (Remote, error) {
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	section := io.NewSectionReader(s.Archive, 0, s.Size)
	for done := int64(0); done < s.Size; {
		n, err := section.Read(buf)
		sum.Write(buf[:n])
		done += int64(n)
		switch {
		case ctx.Err() != nil:
			return Remote{}, context.Cause(ctx)
		case err != nil && done < s.Size:
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

// errorLog makes events of what the HTTP server would log: connections that did not get as far as a request.
type errorLog struct{ s *server }

func (l errorLog) Write(line []byte) (int, error) {
	text := strings.TrimPrefix(strings.Join(strings.Fields(string(line)), " "), "http: ")
	l.s.tell(Event{Err: errors.New(withHint(text, serverHints()))})
	return len(line), nil
}
