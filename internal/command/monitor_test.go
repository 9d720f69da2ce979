package command

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot/member"
)

// A look tells how etcd is, and that it is away; where each would be a login, nobody is asked.
func TestLook(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	cfg := member.Config{Endpoints: c.Endpoints(), Timeout: 10 * time.Second}
	look := &taker{connect: func() (member.Config, error) { return cfg, nil }, metrics: metrics.New(metrics.Options{})}
	told := func(series string) bool {
		w := httptest.NewRecorder()
		look.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return strings.Contains(w.Body.String(), "etcd_rolling_backup_"+series+"\n")
	}
	const leads, answers, away = "etcd_has_leader 1", "etcd_reachable 1", "etcd_reachable 0"
	cfg.User = "root"
	must(t, look.look(t.Context()))
	if told(leads) || told(away) {
		t.Error("a user was logged in")
	}
	cfg.User = ""
	must(t, look.look(t.Context()))
	if !told(leads) || !told(answers) {
		t.Error("the look was not told")
	}
	cfg.CACert = filepath.Join(t.TempDir(), "none")
	if err := look.look(t.Context()); err == nil || !told(answers) {
		t.Errorf("etcd was not asked, and does not answer: %v", err)
	}
	cfg.CACert = ""
	must(t, c.Members[0].Kill())
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := look.look(stopped); err == nil || !told(answers) {
		t.Errorf("the daemon was stopped, and etcd does not answer: %v", err)
	}
	if err := look.look(t.Context()); err == nil || !told(away) {
		t.Errorf("an etcd that is down gave no error, or it was not told: %v", err)
	}
}

// Only off switches the server off, and what can be no address is found before anything starts.
func TestListen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte("listen: \"\"\n"), 0o600))
	for _, test := range []struct{ given, want, wrong string }{
		{given: "--listen=off"},
		{given: "--listen=:9979", want: ":9979"},
		{given: "--listen=127.0.0.1:0", want: "127.0.0.1:0"},
		{given: "--listen=[::1]:65535", want: "[::1]:65535"},
		{given: "--listen=:http", want: ":http"},
		{given: "--listen=", wrong: "--listen is empty: "},
		{given: "--config=" + file, wrong: "--listen is empty: "},
		{given: "--listen= ", wrong: "is not HOST:PORT"},
		{given: "--listen=OFF", wrong: "is not HOST:PORT"},
		{given: "--listen=:", wrong: "is not HOST:PORT"},
		{given: "--listen=:65536", wrong: "there is no port 65536: "},
		{given: "--listen=:-1", wrong: "there is no port -1: "},
		{given: "--listen=:nosuch", wrong: "there is no port nosuch: "},
	} {
		w, err := monitorOptions(parse(t, "daemon", test.given))
		switch {
		case test.wrong != "":
			if exitStatus(err) != exitUsage || err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: got %q and %v, want wrong usage with %q", test.given, w.listen, err, test.wrong)
			}
		case err != nil || w.listen != test.want:
			t.Errorf("%s: got %q and %v, want %q", test.given, w.listen, err, test.want)
		}
	}
}

// Check says that nobody can ask, louder where nobody is told either.
func TestCheckListenOff(t *testing.T) {
	watcher := httptest.NewServer(http.NotFoundHandler())
	defer watcher.Close()
	h, err := daemon.NewHeartbeat(watcher.URL)
	must(t, err)
	for status, w := range map[string]monitor{statusWarn: {}, statusOK: {heartbeat: h}} {
		f := checkMonitor(t.Context(), w)
		if len(f) == 0 || f[0].Check != "listen" || f[0].Status != status || !strings.Contains(f[0].Detail, "nobody can ask the daemon") {
			t.Errorf("got %+v, want %s", f, status)
		}
	}
}

// A port in use is the daemon's own also where it is not written as a URL has it.
func TestOurs(t *testing.T) {
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
