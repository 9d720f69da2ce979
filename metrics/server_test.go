package metrics_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
)

func TestOpenNamesWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = metrics.Open(t.Context(), metrics.ServerOptions{Addr: l.Addr().String()})
	if !errors.Is(err, metrics.ErrListen) || err.Error() != "listen on "+l.Addr().String()+": bind: address already in use" {
		t.Errorf("a port in use: %v", err)
	}
	if _, err = metrics.Open(t.Context(), metrics.ServerOptions{Addr: "nonsense"}); !errors.Is(err, metrics.ErrListen) {
		t.Errorf("an invalid address: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(broken, []byte("tls_server_config:\n  cert_file: gone.pem\n  key_file: gone.pem\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, broken + ".gone"} {
		_, err = metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: file})
		if !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestStopWaitsForOpenRequests holds a request open; after that nobody listens.
func TestStopWaitsForOpenRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "late")
	})
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, got := make(chan error, 1), make(chan answer, 1)
	go func() { done <- s.Serve(ctx) }()
	go func() {
		defer close(got)
		got <- ask(t, "http://"+s.Addr().String())
	}()
	<-entered
	cancel()
	close(release)
	if a := <-got; a.body != "late" {
		t.Errorf("the open request got %q", a.body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("still listens")
	}
}

// TestStopDoesNotWaitForever has a request that never ends.
func TestStopDoesNotWaitForever(t *testing.T) {
	entered := make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	metrics.SetStop(s, 50*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done, cut := make(chan error, 1), make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	go func() {
		r, err := client().Get("http://" + s.Addr().String())
		if err == nil {
			err = r.Body.Close()
		}
		cut <- err
	}()
	<-entered
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered")
	}
}

// A client with many requests at a time, whose answers it does not read, takes no place of others: no scrape gets "too many requests".
func TestManyRequestsOfOneClientKeepNoScraperOut(t *testing.T) {
	addr := start(t, metrics.ServerOptions{Handler: handler(statustest.Healthy)})
	for range 32 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		requests := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 1000)
		if _, err := io.WriteString(c, requests); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if a := ask(t, "http://"+addr+"/metrics"); a.status != http.StatusOK {
			t.Fatalf("the scraper got %d %q", a.status, a.body)
		}
	}
}

// Connections that send nothing are closed when there are too many, so they take neither the port nor all descriptors.
func TestSilentConnectionsKeepNoScraperOut(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	var silent []net.Conn
	for range 400 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if a := ask(t, "http://"+s.Addr().String()); a.body != "hello" {
		t.Errorf("the scraper got %q", a.body)
	}
	if n, err := silent[0].Read(make([]byte, 1)); err == nil {
		t.Errorf("a silent connection got %d bytes", n)
	}
	for _, c := range silent { // the shutdown would wait for those without a request
		_ = c.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
