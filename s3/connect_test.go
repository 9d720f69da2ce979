package s3_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

// The authority may come in three forms, and the endpoint with or without scheme.
func TestCAIsTakenInEveryForm(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	put(t, b, rolling(t, 0), []byte("x"))
	text, err := os.ReadFile(server.CAFile)
	must(t, err)
	wrapped := base64.StdEncoding.EncodeToString(text)
	for form, ca := range map[string]string{
		"text": string(text), "text in one line": strings.ReplaceAll(string(text), "\n", `\n`), "file": server.CAFile,
		"base64": wrapped, "base64 in lines": wrapped[:76] + "\n" + wrapped[76:] + "\n",
	} {
		for _, endpoint := range []string{server.URL(), server.Endpoint(), server.URL() + "/"} {
			c.CA, c.Endpoint = ca, endpoint
			t.Run(form, func(t *testing.T) { wantList(t, open(t, c), rolling(t, 0)) })
		}
	}
	c.CA, c.InsecureSkipVerify = "", true
	wantList(t, open(t, c), rolling(t, 0))
}

func TestWrongCAIsReported(t *testing.T) {
	t.Parallel()
	_, c := bed(t, server.Target)
	stranger, err := s3test.NewCA(t.TempDir())
	must(t, err)
	c.CA = stranger.File
	_, err = open(t, c).List(t.Context())
	wantError(t, err, s3.ErrCertificate, "--s3-ca is not the CA")
	c.CA = "" // the system's roots do not know it either
	_, err = open(t, c).List(t.Context())
	wantError(t, err, s3.ErrCertificate, "set --s3-ca to it")

	for text, ca := range map[string]string{
		"neither PEM text": "/nonexistent/ca.crt", "no PEM certificate": write(t, t.TempDir()+"/empty", "nothing"),
		"the text holds no": "-----BEGIN CERTIFICATE-----\nx", "the base64 text holds no": base64.StdEncoding.EncodeToString([]byte("-----BEGIN x")),
	} {
		c.CA = ca
		_, err := s3.Open(c)
		if !errors.Is(err, s3.ErrConfig) || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "--s3-ca") {
			t.Errorf("CA %q: %v", ca, err)
		}
	}
}

// A certificate that changes under way, to one that has ended or names another host, is told as what it is.
func TestChangedCertificateIsReported(t *testing.T) {
	t.Parallel()
	s := s3test.Run(t, s3test.Options{TLS: true})
	b, c := bed(t, s.Target)
	put(t, b, rolling(t, 0), []byte("x"))
	ca, err := s3test.NewCA(t.TempDir())
	must(t, err)
	c.CA = ca.File
	for words, issue := range map[string]func() (s3test.Certificate, error){
		"renew the server's certificate": ca.IssueExpired,
		"contains no IP address":         func() (s3test.Certificate, error) { return ca.IssueFor("s3.example") },
	} {
		cert, err := issue()
		must(t, err)
		must(t, s.RestartWith(t.Context(), cert))
		_, err = open(t, c).List(t.Context())
		wantError(t, err, s3.ErrCertificate, words)
		_, err = b.List(t.Context())
		wantError(t, err, s3.ErrCertificate)
	}
}

func TestUnreachableServerIsReported(t *testing.T) {
	t.Parallel()
	_, c := bed(t, server.Target)
	proxy := s3test.RunProxy(t, server.Target)
	must(t, proxy.Down())
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close) // the subtests go on after this function
	mute := silentPort(t)
	for _, u := range []struct {
		what, endpoint string
		kind           error
		words          string
	}{
		{"name", "https://no-such-host.invalid", s3.ErrHost, "--s3-endpoint"},
		{"refused", proxy.URL(), s3.ErrHost, "is the server running"},
		{"plain where TLS is expected", "https://" + plain.Listener.Addr().String(), s3.ErrConfig, "write http://"},
		{"TLS where plain is expected", "http://" + server.Endpoint(), s3.ErrConfig, "write https://"},
		{"no S3", "http://" + plain.Listener.Addr().String(), s3.ErrHost, "not seem to be the bucket's S3 server"},
		{"silent", "http://" + mute, s3.ErrTimeout, "does not answer"},
		{"silent with TLS", "https://" + mute, s3.ErrTimeout, "does not answer"},
	} {
		t.Run(u.what, func(t *testing.T) {
			t.Parallel()
			d := c
			d.Endpoint = u.endpoint
			if errors.Is(u.kind, s3.ErrTimeout) {
				d.Timeout, d.Stall = time.Second, time.Second
			}
			if strings.HasPrefix(d.Endpoint, "http:") {
				d.CA = ""
			}
			b := open(t, d)
			began := time.Now()
			_, err := b.List(t.Context())
			wantError(t, err, u.kind, "list: "+b.String(), u.words)
			// With ErrConfig it is a race whether the answer arrives before the connection breaks.
			if !errors.Is(u.kind, s3.ErrConfig) {
				wantError(t, tryPut(t, b, rolling(t, 0), noise(part+1)), u.kind)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// silentPort accepts connections and says nothing.
func silentPort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// The environment's proxy is used, read anew by each Open, and its password stays out of errors.
func TestProxyOfTheEnvironmentIsUsed(t *testing.T) {
	_, faults, c := shared(t)
	through := 0
	behind, err := url.Parse(faults.URL())
	must(t, err)
	reverse := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		through++
		r.Out.URL.Host, r.Out.Host = behind.Host, r.In.Host
	}}
	proxy := httptest.NewServer(reverse)
	defer proxy.Close()
	c.Endpoint = "http://s3.example.invalid" // not asked of DNS: that is the proxy's business
	t.Setenv("NO_PROXY", "")
	t.Setenv("HTTP_PROXY", proxy.URL)
	wantList(t, open(t, c))
	if through == 0 {
		t.Error("the proxy saw nothing")
	}
	t.Setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:1")
	_, err = open(t, c).List(t.Context())
	wantError(t, err, s3.ErrHost)
	for _, broken := range []string{"http://user:hunter2@[::1", "http://user:hunter2@x:y", "user:hunter2@x y"} {
		t.Setenv("HTTP_PROXY", broken)
		_, err = open(t, c).List(t.Context())
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "HTTP_PROXY") {
			t.Errorf("HTTP_PROXY=%s: %v", broken, err)
		}
	}
}

// The caller's own end is told as such, and at once.
func TestCanceled(t *testing.T) {
	t.Parallel()
	b, _, _ := shared(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutdown")
	cancel(stop)
	if _, err := b.List(ctx); !errors.Is(err, stop) {
		t.Errorf("list: %v", err)
	}
	if err := b.Put(ctx, rolling(t, 0), strings.NewReader("x"), 1, nil); !errors.Is(err, stop) {
		t.Errorf("put: %v", err)
	}
	if _, _, err := b.Get(ctx, rolling(t, 0)); !errors.Is(err, stop) {
		t.Errorf("get: %v", err)
	}
}
