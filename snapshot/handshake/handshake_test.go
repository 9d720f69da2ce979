package handshake_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot/handshake"
)

// server answers at an address until the test ends.
func server(t *testing.T, start func(*httptest.Server), auth tls.ClientAuthType) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{ClientAuth: auth}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // what it says of refused connections
	start(s)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// silent takes connections and says nothing.
func silent(t *testing.T) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestSpeaksTLS(t *testing.T) {
	plain, secure := (*httptest.Server).Start, (*httptest.Server).StartTLS
	for name, x := range map[string]struct {
		address string
		want    bool
	}{
		"TLS":                       {server(t, secure, tls.NoClientCert), true},
		"TLS that wants to know us": {server(t, secure, tls.RequireAnyClientCert), true},
		"plain http":                {server(t, plain, tls.NoClientCert), false},
		"nothing said":              {silent(t), false},
	} {
		if got := handshake.SpeaksTLS(t.Context(), "tcp", x.address); got != x.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The refusal comes after the client's part of the handshake, and is found; content and silence are no refusal.
func TestAlert(t *testing.T) {
	cfg := &tls.Config{InsecureSkipVerify: true}
	secure := (*httptest.Server).StartTLS
	if err := handshake.Alert(t.Context(), "tcp", server(t, secure, tls.RequireAnyClientCert), cfg); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	for name, address := range map[string]string{
		"content": server(t, secure, tls.NoClientCert), "no TLS": server(t, (*httptest.Server).Start, tls.NoClientCert),
	} {
		if err := handshake.Alert(t.Context(), "tcp", address, cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
