package command

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot/member"
)

// A look tells how etcd is; where each would be a login, nobody is asked.
func TestLook(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	cfg := member.Config{Endpoints: c.Endpoints(), Timeout: 10 * time.Second}
	look := &taker{connect: func() (member.Config, error) { return cfg, nil }, metrics: metrics.New(metrics.Options{})}
	told := func() bool {
		w := httptest.NewRecorder()
		look.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return strings.Contains(w.Body.String(), "etcd_rolling_backup_etcd_has_leader 1\n")
	}
	cfg.User = "root"
	must(t, look.look(t.Context()))
	if told() {
		t.Error("a user was logged in")
	}
	cfg.User = ""
	must(t, look.look(t.Context()))
	if !told() {
		t.Error("the look was not told")
	}
	must(t, c.Members[0].Kill())
	if err := look.look(t.Context()); err == nil {
		t.Error("an etcd that is down gave no error")
	}
}

// Check connects to the watcher as far as it goes without a call.
func TestCheckHeartbeat(t *testing.T) {
	called := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, free.Close())
	for address, want := range map[string]string{
		plain.URL:  "ok takes connections; it was not called",
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
