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

	"etcd-rolling-backup/metrics"
)

// serve runs the real server on a port of the system's choice until the test ends, and gives its URL.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	return "http://" + start(t, metrics.ServerOptions{Handler: h})
}

// start runs a server until the test ends and gives its address.
func start(t *testing.T, o metrics.ServerOptions) string {
	t.Helper()
	o.Addr = "127.0.0.1:0"
	s, err := metrics.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return s.Addr().String()
}

func client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

// answer is one that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, url string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, client(), req)
}

func send(t *testing.T, c *http.Client, req *http.Request) answer {
	t.Helper()
	r, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{r.StatusCode, r.Header, string(body)}
}

func TestServerAnswers(t *testing.T) {
	now := noon
	healthy, sick := serve(t, well(&now).Handler()), serve(t, ill(&now).Handler())
	for _, c := range []struct {
		url    string
		status int
		body   string
	}{
		{healthy + "/healthz", 200, "ok\n"},
		{sick + "/healthz", 200, "ok\n"},
		{healthy + "/readyz", 200, "ok\n"},
		{sick + "/readyz", 503, "\ndamage was found in rolling_node-a_20261122T120000Z.db.zst on the disk\n"},
		{healthy + "/metrics", 200, "\netcd_rolling_backup_ready 1\n"},
		{sick + "/metrics", 200, "\netcd_rolling_backup_ready 0\n"},
		{healthy + "/", 200, "All is well"},
		{sick + "/", 200, "Needs attention"},
		{healthy + "/else", 404, ""},
	} {
		r := ask(t, c.url)
		if r.status != c.status || !strings.Contains(r.body, c.body) {
			t.Errorf("%s: %d, want %d with %q:\n%.2000s", c.url, r.status, c.status, c.body, r.body)
		}
	}
	post, err := http.NewRequest(http.MethodPost, healthy+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, client(), post); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.status)
	}
}

func TestOpenRefuses(t *testing.T) {
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
		t.Errorf("an address that is none: %v", err)
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

// Of several users the one is named whose password stands there where its hash belongs, and the password is not shown.
func TestWebConfigNamesTheUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	text := "basic_auth_users:\n  alice: " + hash + "\n  prometheus: open-sesame\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: file})
	if !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), "basic_auth_users: prometheus: ") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
}

// TestWebConfigTurns: whether there is TLS is decided at the start; a file that says otherwise later leaves nobody with an answer.
func TestWebConfigTurns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("http_server_config:\n  http2: false\n")
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: file})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"tls_server_config:\n  cert_file: x.pem\n", "nonsense: 1\n", "- [\n"} {
		write(text)
		if err := s.Check(); !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
	}
	write("")
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestServerEndsInTime holds a request open: the end waits for it, and not for longer than it should.
func TestServerEndsInTime(t *testing.T) {
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
		t.Errorf("the request under way got %q", a.body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("still listens")
	}
}

// TestServerDoesNotWaitForEver has a request that never ends.
func TestServerDoesNotWaitForEver(t *testing.T) {
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
