package metrics

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"etcd-rolling-backup/snapshot/keyfile"
)

// maxReasons bounds what is read of an answer.
const maxReasons = 64 << 10

// errOtherCertificate is of a TLS server that is not the one of the web configuration.
var errOtherCertificate = errors.New("the server's certificate is not cert_file of --web-config: another program listens there, or the file was replaced")

// Question is for the server of another process on this machine.
type Question struct {
	Addr      string // as ServerOptions has it
	WebConfig string // likewise
	// User and Password are for a server with passwords, of which the web configuration has only hashes.
	User, Password string
	// Live asks only whether the process answers.
	Live bool
}

// Ask returns nil if the backups are healthy, and otherwise an error with the reasons, or why there is no answer. The context bounds it.
func Ask(ctx context.Context, q Question) error {
	scheme, path := "http", "/readyz"
	if q.Live {
		path = "/healthz"
	}
	// The address may have no host, which means this machine. There is no proxy either.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, q.Addr)
	}}
	if secure, err := wantsTLS(q.WebConfig); err != nil {
		return err
	} else if secure {
		scheme = "https"
		if transport.TLSClientConfig, err = ownServer(q.WebConfig); err != nil {
			return fmt.Errorf("%w %s: %w", ErrWebConfig, q.WebConfig, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost"+path, nil)
	if err != nil {
		return err
	}
	if q.User != "" {
		req.SetBasicAuth(q.User, q.Password)
	}
	res, err := transport.RoundTrip(req) // no redirect is followed
	if err != nil {
		return fmt.Errorf("no answer from a daemon on %s: %w", q.Addr, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReasons))
	if err != nil {
		return fmt.Errorf("no answer from a daemon on %s: %w", q.Addr, err)
	}
	return judge(q, res.StatusCode, strings.TrimSpace(string(body)))
}

func judge(q Question, status int, text string) error {
	switch {
	case status == http.StatusOK && text == "ok":
		return nil
	case status == http.StatusServiceUnavailable && text != "":
		return fmt.Errorf("unhealthy: %s", strings.ReplaceAll(text, "\n", "; "))
	case status == http.StatusUnauthorized && q.User == "":
		return fmt.Errorf("the daemon on %s wants a password: set --web-user and --web-password-file", q.Addr)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the daemon on %s refuses the password of user %s: correct --web-user or --web-password-file", q.Addr, q.User)
	case status == http.StatusBadRequest && strings.Contains(text, "HTTPS server"):
		return fmt.Errorf("the server on %s uses TLS: set --web-config to the file of the daemon", q.Addr)
	}
	return fmt.Errorf("the server on %s is not a daemon of this program: it answers with HTTP status %d", q.Addr, status)
}

// ownServer is for a client on the server's machine. It knows the server by the certificate itself, whatever its name and age, and shows
// the same one if the server wants one of its clients.
func ownServer(path string) (*tls.Config, error) {
	c, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	pair, err := keyfile.Pair(under(dir, c.TLS.Cert), under(dir, c.TLS.Key))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate itself
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, pair.Certificate[0]) {
				return errOtherCertificate
			}
			return nil
		},
	}, nil
}
