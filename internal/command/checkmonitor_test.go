package command

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
)

// Without a server check reports that; it is a warning if there is no heartbeat either.
func TestCheckWarnsWithoutServerAndHeartbeat(t *testing.T) {
	watcher := httptest.NewServer(http.NotFoundHandler())
	defer watcher.Close()
	h, err := daemon.NewHeartbeat(watcher.URL)
	must(t, err)
	for status, w := range map[string]config.Monitor{statusWarn: {}, statusOK: {Heartbeat: h}} {
		f := checkMonitor(t.Context(), w)
		if len(f) == 0 || f[0].Check != "listen" || f[0].Status != status || !strings.Contains(f[0].Detail, "there are no metrics and no status page") {
			t.Errorf("got %+v, want %s", f, status)
		}
	}
}

// A port in use by the daemon is recognized however the address is written.
func TestPortOfOurDaemonIsRecognized(t *testing.T) {
	metric := "etcd_rolling_backup_build_info"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, metric) }))
	defer server.Close()
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	must(t, err)
	for _, address := range []string{net.JoinHostPort(host, port), ":" + port, net.JoinHostPort(host, "+"+port)} {
		if !ours(t.Context(), address) {
			t.Errorf("%s was not known again", address)
		}
	}
	metric = "another_build_info"
	if address := net.JoinHostPort(host, port); ours(t.Context(), address) {
		t.Errorf("%s was taken for ours", address)
	}
}

// Check connects to the heartbeat's server without a call.
func TestCheckHeartbeatConnectsWithoutACall(t *testing.T) {
	called := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, free.Close())
	for address, want := range map[string]string{
		plain.URL:  "ok accepts connections; it was not called",
		secure.URL: "fail certificate", // of httptest's own authority
		"https://" + plain.Listener.Addr().String(): "fail TLS",
		"http://" + free.Addr().String():            "fail connection refused",
	} {
		h, err := daemon.NewHeartbeat(address + "/secret?key=secret")
		must(t, err)
		f := checkHeartbeat(t.Context(), h.Host(), h.Address())
		status, text, _ := strings.Cut(want, " ")
		if f.Status != status || !strings.Contains(f.Detail, text) || strings.Contains(f.Detail, "secret") {
			t.Errorf("%s: %s, %s; want %s", address, f.Status, f.Detail, want)
		}
	}
	if called {
		t.Error("the watcher was called")
	}
}
