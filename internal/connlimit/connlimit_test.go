package connlimit

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

const limit = 8

// serve starts a server with a limiter. Its handler answers when release is closed, for /wait, or immediately.
func serve(t *testing.T, keepActive, secure bool) (s *httptest.Server, release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-release
		}
		_, _ = io.WriteString(w, "ok")
	}))
	s.Config.ConnState = New(limit, keepActive).ConnState
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, release
}

// silent connects and sends nothing.
func silent(t *testing.T, s *httptest.Server, n int) []net.Conn {
	t.Helper()
	var out []net.Conn
	for range n {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		out = append(out, c)
	}
	return out
}

// closed waits until the server has closed the connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent connection was not closed: %v", err)
	}
}

// get sends a request on its own connection.
func get(t *testing.T, s *httptest.Server, path string) (*http.Response, error) {
	t.Helper()
	transport := s.Client().Transport.(*http.Transport).Clone() //nolint:forcetypeassert // httptest's own
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return (&http.Client{Transport: transport, Timeout: time.Minute}).Do(request)
}

func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, _ := serve(t, false, secure)
		idle := silent(t, s, 10*limit)
		r, err := get(t, s, "/")
		if err != nil {
			t.Fatalf("TLS %v: %v", secure, err)
		}
		text, err := io.ReadAll(r.Body)
		if err != nil || string(text) != "ok" {
			t.Errorf("TLS %v: %q, %v", secure, text, err)
		}
		_ = r.Body.Close()
		for _, c := range idle[:9*limit] {
			closed(t, c)
		}
	}
}

func TestTransfersOutliveSilentConnections(t *testing.T) {
	s, release := serve(t, true, true)
	r, err := get(t, s, "/wait")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	for _, c := range silent(t, s, 10*limit)[:9*limit] {
		closed(t, c)
	}
	close(release)
	if text, err := io.ReadAll(r.Body); err != nil || string(text) != "ok" {
		t.Errorf("the transfer was cut off: %q, %v", text, err)
	}
}

// When all connections are transfers that may not be closed, the next client waits for nothing: its connection is closed.
func TestFullServerClosesTheNewest(t *testing.T) {
	s, release := serve(t, true, false)
	var bodies []io.ReadCloser
	for range limit {
		r, err := get(t, s, "/wait")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		bodies = append(bodies, r.Body)
	}
	closed(t, silent(t, s, 1)[0])
	close(release)
	for _, b := range bodies {
		if text, err := io.ReadAll(b); err != nil || string(text) != "ok" {
			t.Errorf("a transfer was cut off: %q, %v", text, err)
		}
	}
}

func TestAddressWithTheMostLosesFirst(t *testing.T) {
	l := New(3, false)
	conns := map[string]*fakeConn{}
	for _, x := range []struct{ name, from string }{
		{"quiet", "10.0.0.1:1"}, {"first", "[2001:db8::1]:1"}, {"second", "[2001:db8::2]:1"}, {"third", "[2001:db8::3]:1"},
	} {
		conns[x.name] = &fakeConn{from: x.from}
		l.ConnState(conns[x.name], http.StateNew)
		if x.name == "first" {
			l.ConnState(conns[x.name], http.StateActive)
		}
	}
	for name, c := range conns {
		if c.closed != (name == "second") {
			t.Errorf("%s: closed %v", name, c.closed)
		}
	}
}

type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	at, _ := net.ResolveTCPAddr("tcp", c.from)
	return at
}

func (c *fakeConn) Close() error {
	c.closed = true
	return nil
}
