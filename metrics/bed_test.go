package metrics_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/metrics/page"
)

const gib = statustest.GiB

var noon = statustest.Noon()

// of shows what a tracker knows at *now.
func of(tr *status.Tracker, now *time.Time) *metrics.Metrics {
	return metrics.New(metrics.Options{
		Version: "1.2.3", State: tr.State, Problems: tr.Problems, FreeBytes: func() (int64, error) { return 41 * gib, nil }, MinFree: func() int64 { return gib },
		Page: page.Options{Version: "1.2.3", Node: statustest.Node}, Now: func() time.Time { return *now },
	})
}

// handler answers for a tracker at noon.
func handler(make func(now *time.Time) *status.Tracker) http.Handler {
	now := noon
	return of(make(&now), &now).Handler()
}

// fromHere is a request from this machine.
func fromHere(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	r.RemoteAddr = "127.0.0.1:5"
	return r
}

// get asks a handler and gives status and body.
func get(t testing.TB, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, fromHere(path))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

// scrape gives the lines of /metrics that this package writes, at noon.
func scrape(t testing.TB, tr *status.Tracker) []string {
	t.Helper()
	now := noon
	_, body := get(t, of(tr, &now).Handler(), "/metrics")
	return ours(body)
}

// program is one that `make tools` built. A missing one fails the test, so that none passes by not running.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := proctest.Program(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs the real server on a port of the system's choice until the test ends, and gives its URL.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	return "http://" + start(t, metrics.ServerOptions{Handler: h})
}

// start runs a server until the test ends and gives its address.
func start(t *testing.T, o metrics.ServerOptions) string {
	t.Helper()
	addr, _ := startServer(t, o)
	return addr
}

func startServer(t *testing.T, o metrics.ServerOptions) (string, *metrics.Server) {
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
			t.Errorf("the server stopped with %v", err)
		}
	})
	return s.Addr().String(), s
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
