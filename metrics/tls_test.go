package metrics_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

func TestServerWithPassword(t *testing.T) {
	now := noon
	config, roots := webConfig(t)
	var log logged
	addr := start(t, metrics.ServerOptions{Handler: well(&now).Handler(), WebConfig: config, Log: log.add})
	c := client()
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	for password, want := range map[string]int{"": 401, "wrong": 401, "right": 200} {
		for _, path := range []string{"/metrics", "/readyz", "/"} {
			req, err := http.NewRequest(http.MethodGet, "https://"+addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if password != "" {
				req.SetBasicAuth("prometheus", password)
			}
			if r := send(t, c, req); r.status != want {
				t.Errorf("%s with password %q: %d, want %d", path, password, r.status, want)
			}
		}
	}
	if r := ask(t, "http://"+addr+"/metrics"); r.status != http.StatusBadRequest {
		t.Errorf("plain HTTP to a TLS port: %d", r.status)
	}
	if !log.has(slog.LevelInfo, "TLS is enabled.", "address", addr) {
		t.Errorf("the log lacks the line of TLS: %v", log.lines)
	}
}

type logged struct {
	mu    sync.Mutex
	lines []line
}

type line struct {
	level   slog.Level
	message string
	fields  map[string]any
}

func (l *logged) add(level slog.Level, message string, fields map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line{level, message, fields})
}

func (l *logged) has(level slog.Level, message, key string, value any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.lines {
		if x.level == level && x.message == message && x.fields[key] == value {
			return true
		}
	}
	return false
}

// hash is bcrypt's of the password right.
const hash = "$2a$04$M6Z0fvfcKLWutHDVBmRGqeYXPoyINPuCT36m2Z48lc9FpJ8oBQksK"

// webConfig writes a file with a certificate for 127.0.0.1 and the user prometheus, password right.
func webConfig(t *testing.T) (path string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	roots = x509.NewCertPool()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(certificate)
	for name, text := range map[string][]byte{
		"cert.pem": certificate,
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		"web.yml": []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n" +
			"basic_auth_users:\n  prometheus: " + hash + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "web.yml"), roots
}
