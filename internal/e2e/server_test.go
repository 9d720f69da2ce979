package e2e_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

func TestDaemonRefusesAPortInUse(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint))
	taken := strings.TrimPrefix(w.base, "http://")
	dir := newStore(t)
	p := run(t, 1, []string{"listen on " + taken + ": ", "address already in use (--listen: "},
		words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--listen=" + taken})...)
	if strings.Count(p.stderr.String(), "\n") != 1 {
		t.Errorf("more than a line:\n%s", p.stderr.String())
	}
	wantNothing(t, dir)

	check := words("check", store(dir), flags(c, c.Members[0].Endpoint), []string{"--listen=" + taken})
	run(t, 0, []string{taken + " is in use by a daemon of this program"}, check...)
	w.stop(t, syscall.SIGTERM, 0)
	run(t, 0, []string{taken + " is free"}, check...)
	stranger := http.Server{Addr: taken, Handler: http.NotFoundHandler()}
	go func() { _ = stranger.ListenAndServe() }()
	defer stranger.Close()
	eventually(t, "another program had the port", func() bool {
		status, _, err := ask(&http.Transport{}, "http://"+taken, "")
		return err == nil && status == http.StatusNotFound
	})
	run(t, 1, []string{"check failed: listen"}, check...)
}

// Nobody listens where it is switched off, which an empty address is not.
func TestListenOffOpensNoPort(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	args := words("daemon", store(newStore(t)), flags(c, c.Members[0].Endpoint))
	p := start(t, append(args, "--listen=off")...)
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	if strings.Contains(p.stderr.String(), "listening") {
		t.Errorf("it listens:\n%s", p.stderr.String())
	}
	run(t, 2, []string{"--listen is empty: "}, append(args, "--listen=")...)
}

// hash is bcrypt's of the word right.
const hash = "$2a$04$M6Z0fvfcKLWutHDVBmRGqeYXPoyINPuCT36m2Z48lc9FpJ8oBQksK"

// The file of all exporters gives TLS and a password.
func TestWebConfigDemandsTLSAndPassword(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{TLS: true})
	file := filepath.Join(t.TempDir(), "web.yml")
	must(t, os.WriteFile(file, []byte("tls_server_config:\n  cert_file: "+c.PKI.Server.Cert+"\n  key_file: "+c.PKI.Server.Key+
		"\nbasic_auth_users:\n  prometheus: "+hash+"\n"), 0o600))
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint), []string{"--web-config=" + file})
	trust, err := c.PKI.TLSConfig()
	must(t, err)
	secure := strings.Replace(w.base, "http:", "https:", 1)
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/"} {
		got := map[string]int{}
		for _, password := range []string{"right", "wrong", ""} {
			got[password], _, err = ask(secureTransport(trust), secure+path, password)
			must(t, err)
		}
		if got["right"] == http.StatusServiceUnavailable && path == "/readyz" {
			got["right"] = http.StatusOK // it has only just begun
		}
		if want := map[string]int{"right": 200, "wrong": 401, "": 401}; !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if status, _ := w.get(t, "/metrics"); status != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d", status)
	}
	check := words("check", store(newStore(t)), flags(c, c.Members[0].Endpoint), []string{"--web-config=" + file})
	run(t, 0, []string{"is in use: if another program uses it, the daemon will not start"}, append(check, "--listen="+strings.TrimPrefix(w.base, "http://"))...)
	// A file that goes bad under it leaves who asks without an answer, so the log tells.
	must(t, os.Rename(file, file+".gone"))
	w.says(t, "metrics and status page do not answer: web configuration")
	must(t, os.Rename(file+".gone", file))
	w.says(t, "healthy again")
	w.stop(t, syscall.SIGTERM, 0)

	must(t, os.WriteFile(file, []byte("tls_server_config:\n  cert_file: none\n  key_file: none\n"), 0o600))
	for _, command := range [][]string{check, slices.Concat([]string{"daemon"}, check[1:])} {
		run(t, 2, []string{"web"}, command...)
	}
}
