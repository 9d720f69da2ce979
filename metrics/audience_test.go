package metrics_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
)

// From the network, without a password, only numbers and codes can be read: texts and the page name bucket, files and members.
func TestNetworkReadsOnlyCodes(t *testing.T) {
	users := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(users, []byte("basic_auth_users:\n  a: $2y$04$abcdefghijklmnopqrstuv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	request := func(from, host string, change func(*http.Request)) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+"/", http.NoBody)
		r.RemoteAddr = from
		if change != nil {
			change(r)
		}
		return r
	}
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	password := func(r *http.Request) { r.SetBasicAuth("a", "b") }
	for name, test := range map[string]struct {
		audience metrics.Audience
		request  *http.Request
		trusted  bool
	}{
		"this machine":                {request: request("127.0.0.1:5", "127.0.0.1:9979", nil), trusted: true},
		"this machine, IPv6":          {request: request("[::1]:5", "[::1]:9979", nil), trusted: true},
		"this machine, by name":       {request: request("127.0.0.1:5", "LocalHost", nil), trusted: true},
		"this machine, mapped":        {request: request("[::ffff:127.0.0.1]:5", "127.0.0.1", nil), trusted: true},
		"the network":                 {request: request("10.0.0.9:5", "10.0.0.1:9979", nil)},
		"the network, false host":     {request: request("10.0.0.9:5", "127.0.0.1:9979", nil)},
		"a rebound name":              {request: request("127.0.0.1:5", "evil.example:9979", nil)},
		"a name that begins alike":    {request: request("127.0.0.1:5", "127.0.0.1.evil.example", nil)},
		"a proxy":                     {request: request("127.0.0.1:5", "127.0.0.1", header("X-Forwarded-For", "10.0.0.9"))},
		"a proxy of the standard":     {request: request("127.0.0.1:5", "127.0.0.1", header("Forwarded", "for=10.0.0.9"))},
		"a password that counts":      {metrics.Audience{WebConfig: users}, request("10.0.0.9:5", "backup.example", password), true},
		"a password that nobody asks": {request: request("10.0.0.9:5", "10.0.0.1", password)},
		"a certificate": {request: request("10.0.0.9:5", "10.0.0.1", func(r *http.Request) {
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}
		}), trusted: true},
		"no certificate":         {request: request("10.0.0.9:5", "10.0.0.1", func(r *http.Request) { r.TLS = &tls.ConnectionState{} })},
		"everybody, by the flag": {metrics.Audience{Network: true}, request("10.0.0.9:5", "backup.example", nil), true},
	} {
		now := statustest.Noon()
		tr := statustest.Healthy(&now)
		problem := status.Problem{Code: status.CodeMirrorFailing, Text: "s3://secret-bucket does not answer", Since: time.Time{}}
		handler := metrics.New(metrics.Options{
			State: tr.State, Problems: func() []status.Problem { return []status.Problem{problem} }, Audience: test.audience,
			Now: statustest.Noon,
		}).Handler()
		for path, want := range map[string]int{"/": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/metrics": http.StatusOK, "/healthz": http.StatusOK} {
			if path == "/" && !test.trusted {
				want = http.StatusForbidden
			}
			r := test.request.Clone(t.Context())
			r.URL.Path = path
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			text := w.Body.String()
			if w.Code != want {
				t.Errorf("%s: %s answers %d, want %d", name, path, w.Code, want)
			}
			if path == "/readyz" && !test.trusted && text != "mirror-failing\n" {
				t.Errorf("%s: /readyz says %q", name, text)
			}
			if shown := strings.Contains(text, "secret-bucket"); shown != (test.trusted && path != "/metrics" && path != "/healthz") {
				t.Errorf("%s: %s shows the text: %v", name, path, shown)
			}
		}
	}
}
