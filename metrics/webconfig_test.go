package metrics_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
)

func TestServerAsksForThePassword(t *testing.T) {
	config, roots := webConfig(t)
	addr := start(t, metrics.ServerOptions{Handler: handler(statustest.Healthy), WebConfig: config})
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
}

// TestPasswordInPlaceOfItsHashIsReported: the error names the user, and does not show the password.
func TestPasswordInPlaceOfItsHashIsReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	text := "basic_auth_users:\n  alice: " + hash + "\n  prometheus: open-sesame\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: file})
	if !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), "basic_auth_users: prometheus: ") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
}

// TestWebConfigThatGoesBadIsReported: whether there is TLS is decided at the start; with a file that says otherwise later nobody gets an
// answer.
func TestWebConfigThatGoesBadIsReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("http_server_config:\n  http2: false\n")
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: file})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"tls_server_config:\n  cert_file: x.pem\n", "nonsense: 1\n", "- [\n"} {
		write(text)
		if err := s.Check(); !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
	}
	write("")
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// The library reads these files itself, so a byte order mark is an error here. A key with a passphrase is called that.
// A pipe or a file without end in the place of a file of the web configuration, also once the server runs: the client gets no answer, nothing
// waits or grows, and Check reports it. When the file is back, clients get answers again.
func TestWebConfigThatBecomesAPipeIsReported(t *testing.T) {
	config, roots := webConfig(t)
	addr, s := startServer(t, metrics.ServerOptions{Handler: handler(statustest.Healthy), WebConfig: config})
	c := client()
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	ask := func() error {
		req, err := http.NewRequest(http.MethodGet, "https://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Do(req)
		if err == nil {
			err = r.Body.Close()
		}
		return err
	}
	if err := ask(); err != nil { // the server has started
		t.Fatal(err)
	}
	for _, name := range []string{"web.yml", "cert.pem", "key.pem"} {
		path := filepath.Join(filepath.Dir(config), name)
		for what, plant := range map[string]func() error{
			"a pipe":    func() error { return unix.Mkfifo(path, 0o600) },
			"/dev/zero": func() error { return os.Symlink("/dev/zero", path) },
			"huge":      func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
		} {
			if err := errors.Join(os.Rename(path, path+".good"), plant()); err != nil {
				t.Fatal(err)
			}
			if err := ask(); err == nil {
				t.Errorf("%s is %s: there is an answer", name, what)
			}
			if err := s.Check(); !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s is %s: %v", name, what, err)
			}
			if _, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: config}); !errors.Is(err, metrics.ErrWebConfig) {
				t.Errorf("%s is %s at the start: %v", name, what, err)
			}
			if err := os.Rename(path+".good", path); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(ask(), s.Check()); err != nil {
				t.Errorf("%s is back: %v", name, err)
			}
		}
	}
}

func TestKeyFilesThatTheLibraryCannotReadAreExplained(t *testing.T) {
	config, _ := webConfig(t)
	dir := filepath.Dir(config)
	key, err := os.ReadFile("../snapshot/keyfile/testdata/pkcs8.key")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file, want string
		text       []byte
	}{
		{"cert.pem", "cert.pem has a byte order mark: save it as UTF-8 without one", append([]byte("\xef\xbb\xbf"), cert...)},
		{"cert.pem", "cert.pem is UTF-16 text: save it as UTF-8", []byte("\xff\xfe-\x00")},
		{"key.pem", "key.pem has a passphrase", key},
	} {
		file := filepath.Join(dir, tc.file)
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write := func(text []byte) {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(tc.text)
		_, err = metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: config})
		if !errors.Is(err, metrics.ErrWebConfig) || !strings.Contains(err.Error(), filepath.Join(dir, tc.want)) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
		write(before)
	}
}

// A configuration file may begin with a byte order mark.
func TestWebConfigMayHaveAMark(t *testing.T) {
	config, _ := webConfig(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append([]byte("\xef\xbb\xbf"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", WebConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestRateLimitBoundsWrongPasswords: the remedy of docs/METRICS.md works; a refused request compares no password.
func TestRateLimitBoundsWrongPasswords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	text := "basic_auth_users:\n  prometheus: " + hash + "\nrate_limit:\n  interval: 1h\n  burst: 3\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := start(t, metrics.ServerOptions{Handler: handler(statustest.Healthy), WebConfig: file})
	for i := range 6 {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("prometheus", "wrong")
		want := http.StatusUnauthorized
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if r := send(t, client(), req); r.status != want {
			t.Errorf("request %d: %d, want %d", i+1, r.status, want)
		}
	}
}
