package metrics_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
)

// One process asks the server of another as `health` does, whatever its web configuration demands.
func TestHealthIsAskedOfTheServerOnThisMachine(t *testing.T) {
	good, bad := handler(statustest.Healthy), handler(statustest.Unhealthy)
	secure, _ := webConfig(t)
	stranger, _ := webConfig(t)
	mutual := filepath.Join(filepath.Dir(secure), "mutual.yml")
	text := "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem, client_auth_type: RequireAnyClientCert}\n"
	if err := os.WriteFile(mutual, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	other := http.NewServeMux()
	other.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/healthz", http.StatusFound) })
	other.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("welcome")) })
	const user, password = "prometheus", "right"
	for name, c := range map[string]struct {
		handler http.Handler
		server  string // its web configuration
		q       metrics.Question
		want    string
	}{
		"healthy":                     {handler: good},
		"unhealthy":                   {handler: bad, want: "; damage was found in rolling_node-a_20261122T120000Z.db.zst on the disk: page 17 of the database does not match its digest"},
		"alive though unhealthy":      {handler: bad, q: metrics.Question{Live: true}},
		"TLS and password":            {handler: good, server: secure, q: metrics.Question{WebConfig: secure, User: user, Password: password}},
		"unhealthy behind a password": {handler: bad, server: secure, q: metrics.Question{WebConfig: secure, User: user, Password: password}, want: "page 17"},
		"no password":                 {handler: good, server: secure, q: metrics.Question{WebConfig: secure, Live: true}, want: "wants a password: set --web-user"},
		"wrong password":              {handler: good, server: secure, q: metrics.Question{WebConfig: secure, User: user, Password: "left"}, want: "refuses the password of user prometheus"},
		"certificate of another":      {handler: good, server: stranger, q: metrics.Question{WebConfig: secure, User: user, Password: password}, want: "is not cert_file of --web-config"},
		"certificate of the client":   {handler: good, server: mutual, q: metrics.Question{WebConfig: mutual}},
		"TLS that nobody named":       {handler: good, server: secure, want: "uses TLS: set --web-config"},
		"plain where TLS is expected": {handler: good, q: metrics.Question{WebConfig: secure}, want: "no answer from a daemon on 127.0.0.1:"},
		"another program":             {handler: other, want: "is not a daemon of this program: it answers with HTTP status 302"},
		"another program, alive":      {handler: other, q: metrics.Question{Live: true}, want: "is not a daemon of this program"},
		"no web configuration":        {handler: good, q: metrics.Question{WebConfig: "/nonexistent"}, want: "web configuration /nonexistent: "},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.Addr = start(t, metrics.ServerOptions{Handler: c.handler, WebConfig: c.server})
			err := metrics.Ask(t.Context(), c.q)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// A daemon that hangs accepts connections and answers none.
func TestHealthOfADaemonThatHangsIsAnErrorInTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := metrics.Ask(ctx, metrics.Question{Addr: l.Addr().String()}); err == nil || ctx.Err() == nil {
		t.Errorf("%v before the end of its time", err)
	}
}
