package member

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/snapshot/handshake"
)

// noLogin is the hint for an etcd that accepted the connection. The login is the only request here that goes through raft.
const noLogin = "no answer in time: is etcd stopped, or does a firewall block it? Without quorum nobody can log in with --user, " +
	"but snapshots still work with --cert and --key of a certificate in that user's name"

// Parts of hints that are replaced when more is known.
const (
	hintNoCert    = "etcd requires a client certificate: set --cert and --key"
	hintGiveCA    = "set --cacert, and --cert and --key if it requires a client certificate"
	hintLeaveCA   = "remove --cacert and --cert"
	hintOtherName = "etcd's certificate is not valid for this endpoint: use a name or address that is in it"
	hintListening = "is etcd running and listening there?"
)

// hint returns what to check, by a part of the message from TLS, gRPC or etcd. The messages come only as text, because gRPC does
// not pass on the error of a failed handshake.
func hint(text string) string {
	// A server that closes with unread data resets the connection. Whether the client sees the reset or the end of the connection
	// first is random.
	if strings.Contains(text, "handshake failed: ") && strings.Contains(text, "connection reset by peer") {
		text = "handshake failed: EOF"
	}
	for _, h := range []struct{ piece, hint string }{
		{ErrWantsTLS.Error(), hintGiveCA},
		{"looked like an HTTP/1.1 header", "that is not etcd's client port, which is usually 2379"},
		{"certificate signed by unknown authority", "--cacert is not the CA of etcd's server certificate"},
		{"certificate is valid for", hintOtherName},
		{"doesn't contain any IP SANs", "etcd's certificate contains no IP address: use a name that is in it"},
		{"not valid for any names", "etcd's certificate contains nothing of this kind: use a name or address that is in it"},
		{"certificate has expired or is not yet valid", "renew etcd's server certificate, or correct the clock"},
		{"first record does not look like a TLS handshake", "etcd speaks plain http there: " + hintLeaveCA},
		{"handshake failed: EOF", "etcd closed the connection during the TLS handshake: it may speak plain http there: " + hintLeaveCA},
		{"tls: expired certificate", "--cert has expired: renew it"},
		{"tls: certificate required", hintNoCert},
		{"tls: unknown certificate authority", "etcd does not trust the CA of --cert"},
		{"tls: bad certificate", "etcd requires --cert and --key of a client certificate that its CA signed and that has not expired"},
		{"connection refused", hintListening},
		{"connect: permission denied", "this user may not open etcd's socket: run as its owner"},
		{"error reading server preface", "etcd closed the connection: has it stopped?"},
		{"error reading from server", "the connection broke: has etcd stopped?"},
		{"connection reset by peer", "etcd closed the connection: has it stopped?"},
		{"broken pipe", "etcd closed the connection: has it stopped?"},
		{"authentication failed", "wrong --user or password"},
		{"user name is empty", "etcd has authentication enabled: set --user and --password-file"},
		{"not supported for learner", "the member is a learner: set --endpoints to a voting member"},
		{"permission denied", "the user needs the role root to take snapshots"},
		{"waiting for connections to become ready", "no answer in time: is etcd stopped, or does a firewall block it?"},
		{"request timed out", noLogin},
		{"no leader", noLogin},
		{"context deadline exceeded", noLogin},
	} {
		if strings.Contains(text, h.piece) {
			return h.hint
		}
	}
	return ""
}

// explain is the function explain, with hints that match the configuration.
func (c Config) explain(endpoint string, err error) error {
	e := explain(err)
	fit := func(hint, better string) { e.text = strings.Replace(e.text, hint, better, 1) }
	if c.Cert != "" {
		// A client does not send a certificate that none of the server's CAs signed. The server then reports it as missing.
		fit(hintNoCert, "etcd does not trust the CA of --cert")
	}
	if c.CACert == "" {
		fit("--cacert is not the CA of etcd's server certificate", "set --cacert to the CA of etcd's server certificate")
	}
	switch plain, secure := strings.HasPrefix(endpoint, "http://"), strings.HasPrefix(endpoint, "https://"); {
	case strings.HasPrefix(endpoint, "unix:"):
		fit(hintGiveCA, "write unixs: instead of unix:, and "+hintGiveCA)
	case strings.HasPrefix(endpoint, "unixs:"):
		fit(hintLeaveCA, "write unix: instead of unixs:")
		fit(hintOtherName, "etcd's client wants a certificate with the name of the socket's file: choose one that is in it, or use HOST:PORT")
	case plain:
		fit(hintGiveCA, "write https:// and "+hintGiveCA)
	case secure && c.secure():
		fit(hintLeaveCA, "write http://, and "+hintLeaveCA)
	case secure:
		fit(hintLeaveCA, "write http://, or only HOST:PORT")
	}
	return e
}

// explain turns a client error into one readable line and adds what to check.
func explain(err error) *callError {
	text := rpctypes.ErrorDesc(err)
	// gRPC nests errors: connection error: desc = "transport: ...".
	if _, inner, ok := strings.Cut(text, `desc = "`); ok {
		text = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `\"`, `"`)
	}
	if h := hint(text); h != "" {
		text = fmt.Sprintf("%s (%s)", text, h)
	}
	// A learner refuses every request except its status.
	if errors.Is(rpctypes.Error(err), rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)) {
		err = ErrLearner
	}
	return &callError{text: text, err: err}
}

// callError prints the readable line and unwraps to the client's error.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string { return e.text }
func (e *callError) Unwrap() error { return e.err }

// ErrWantsTLS marks an etcd that requires TLS and was asked without it.
var ErrWantsTLS = errors.New("it requires TLS and does not speak plain http")

// clarify returns the server's own reason for refusing the connection, or else err. gRPC writes on, and often gets a broken pipe
// instead of the alert. A server that requires TLS closes a plain connection without a message.
func (e endpoint) clarify(ctx context.Context, cfg *tls.Config, err error) error {
	if missing := e.missingSocket(); missing != nil {
		return missing
	}
	if status.Code(err) != codes.Unavailable {
		return err
	}
	if !e.secure {
		if handshake.SpeaksTLS(ctx, e.network, e.address) {
			return ErrWantsTLS
		}
		return err
	}
	cfg = cfg.Clone()
	cfg.ServerName = e.serverName
	if alert := handshake.Alert(ctx, e.network, e.address, cfg); alert != nil {
		return alert
	}
	return err
}
