package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"etcd-rolling-backup/internal/connlimit"
)

// maxConnections is enough for several Prometheus servers, probes and browsers. Each takes a descriptor, and snapshots need some too.
const maxConnections = 128

// maxStreams limits the requests at the same time in one connection of HTTP/2. Prometheus makes one, a browser few.
const maxStreams = 4

// Errors of Open.
var (
	// ErrWebConfig marks a web configuration file that can't be used.
	ErrWebConfig = errors.New("web configuration")
	// ErrListen marks an address that can't be listened on.
	ErrListen = errors.New("listen")
)

// ServerOptions say where and how to listen. All but Log are required.
type ServerOptions struct {
	Addr string // host:port, as in :9979
	// WebConfig is the path of an exporter-toolkit web configuration file; "": plain HTTP, no password.
	WebConfig string
	Handler   http.Handler
	// Log receives the log lines of net/http: aborted handshakes and panics; nil: they are dropped.
	Log io.Writer
}

// Server listens on its address from Open until Close or the end of Serve.
type Server struct {
	listener net.Listener
	http     *http.Server
	config   string
	secure   bool          // it was started with TLS
	stop     time.Duration // how long open requests may delay the shutdown
}

// Open reads the web configuration, if any, and listens on the address. Connections wait until Serve is called. Errors wrap
// ErrWebConfig or ErrListen.
func Open(ctx context.Context, o ServerOptions) (*Server, error) {
	if err := checkConfig(o.WebConfig); err != nil {
		return nil, err
	}
	secure, err := wantsTLS(o.WebConfig)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // without its own operation and address
		}
		return nil, fmt.Errorf("%w on %s: %w", ErrListen, o.Addr, err)
	}
	limit := connlimit.New(maxConnections, false)
	return &Server{
		listener: l, config: o.WebConfig, secure: secure, stop: 5 * time.Second,
		http: &http.Server{
			Handler:           o.Handler,
			ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: 16 << 10,
			ConnState: func(c net.Conn, s http.ConnState) {
				limit.ConnState(c, s)
				refuseUnreadable(o.WebConfig, c, s)
			},
			// One client's requests do not take those of others, and a connection without end of requests does not take the memory.
			HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
			// Port scanners and probes abort handshakes all day.
			ErrorLog: log.New(cmp.Or(o.Log, io.Discard), "", 0),
		},
	}, nil
}

// Check reads the web configuration again, as each connection does: if that fails, no client gets an answer. Errors wrap ErrWebConfig.
func (s *Server) Check() error {
	secure, err := wantsTLS(s.config)
	switch {
	case err != nil:
		return err
	case secure != s.secure:
		return fmt.Errorf("%w %s: tls_server_config was added or removed since the start: restart the daemon", ErrWebConfig, s.config)
	}
	return checkConfig(s.config)
}

// refuseUnreadable closes connections before the library reads the web configuration's files for them, which may never end if somebody has
// put something else there. Check reports that.
func refuseUnreadable(config string, c net.Conn, s http.ConnState) {
	if s != http.StateNew && s != http.StateActive || checkFiles(config) == nil {
		return
	}
	connlimit.Close(c)
}

// Addr is the address; if its port was 0, with the port that the system chose.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close releases the address, instead of Serve.
func (s *Server) Close() error { return s.listener.Close() }

// Serve answers until ctx ends, and then returns nil; open requests get some seconds to finish. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() {
		failed <- web.Serve(s.listener, s.http, &web.FlagConfig{WebConfigFile: &s.config}, slog.New(slog.DiscardHandler))
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", s.Addr(), errors.Join(err, s.http.Close()))
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.stop)
	defer cancel()
	err := s.http.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if end := <-failed; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	if err != nil {
		return fmt.Errorf("stop serving %s: %w", s.Addr(), err)
	}
	return nil
}
