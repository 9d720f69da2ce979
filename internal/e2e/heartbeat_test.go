package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// calls are the requests that a watcher has got.
type calls struct {
	mu   sync.Mutex
	made []string
}

// ServeHTTP implements http.Handler.
func (c *calls) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, r.Method+" "+r.URL.RequestURI())
}

func (c *calls) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat([]string{""}, c.made)[len(c.made)]
}

// The watcher hears of good cycles and of failed ones. That it goes away is told once a cycle and costs no snapshot, and its
// address stands in no line.
func TestHeartbeatFollowsHealth(t *testing.T) {
	parallel(t)
	const secret = "5f2b-secret"
	c := small(t, etcdtest.Options{})
	seen := &calls{}
	watcher := httptest.NewServer(seen)
	defer watcher.Close()
	url := "--heartbeat-url=" + watcher.URL + "/ping/" + secret + "?create=1"
	dir := newStore(t)
	check := words("check", store(dir), flags(c, c.Members[0].Endpoint), []string{url})
	run(t, 0, []string{"heartbeat", "accepts connections; it was not called"}, check...)
	if seen.last() != "" {
		t.Errorf("check has called the watcher: %s", seen.last())
	}

	w := watch(t, dir, flags(c, c.Members[0].Endpoint), []string{url, "--schedule=@every 1s", "--log-level=debug"})
	f := &follower{process: w.process}
	wants := func(call string) {
		t.Helper()
		eventually(t, call+" was called", func() bool { return seen.last() == call })
	}
	well, failed := "GET /ping/"+secret+"?create=1", "GET /ping/"+secret+"/fail?create=1"
	wants(well)
	must(t, c.Members[0].Kill())
	wants(failed)
	must(t, c.Restart(t.Context()))
	wants(well)

	watcher.Close()
	f.next(t, "heartbeat failed", "connection refused", "level=warning")
	f.goesOn(t, 3)
	w.ready(t, http.StatusOK, "ok\n")
	p := run(t, 1, []string{"check failed: heartbeat"}, check...)
	w.stop(t, syscall.SIGTERM, 0)
	for _, out := range []string{w.stderr.String(), p.stdout.String(), p.stderr.String()} {
		if strings.Contains(out, secret) {
			t.Errorf("the address stands in the output:\n%s", out)
		}
	}
}

// The URL in a file stays out of the process list, and is read for each call.
func TestHeartbeatInAFileIsReadForEachCall(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	seen := &calls{}
	watcher := httptest.NewServer(seen)
	defer watcher.Close()
	file := filepath.Join(t.TempDir(), "url")
	must(t, os.WriteFile(file, []byte("\ufeff"+watcher.URL+"/one-secret\r\n"), 0o644)) // readable by others, which is reported
	dir := newStore(t)
	heartbeat := []string{"--heartbeat-url-file=" + file}
	run(t, 0, []string{"accepts connections; it was not called", "heartbeat-url-file", "chmod 600"}, words("check", store(dir), flags(c, c.Members[0].Endpoint), heartbeat)...)
	w := watch(t, dir, flags(c, c.Members[0].Endpoint), heartbeat, []string{"--schedule=@every 1s"})
	eventually(t, "the first URL was called", func() bool { return seen.last() == "GET /one-secret" })
	must(t, os.WriteFile(file, []byte(watcher.URL+"/two-secret"), 0o600))
	eventually(t, "the second URL was called", func() bool { return seen.last() == "GET /two-secret" })
	must(t, os.WriteFile(file, []byte("two-secret"), 0o600))
	f := &follower{process: w.process}
	f.next(t, "heartbeat failed", "not a valid http:// or https:// URL", "level=warning")
	w.stop(t, syscall.SIGTERM, 0)
	if out := w.stderr.String(); strings.Contains(out, "-secret") || strings.Count(out, "chmod 600") != 1 {
		t.Errorf("the URL stands in the log, or the file's mode does not once:\n%s", out)
	}
}
