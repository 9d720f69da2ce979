package member

import (
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// noLogin is for an etcd that took the connection. A login is the one thing asked here that goes through raft.
const noLogin = "no answer in time: is etcd stopped, or a firewall between? Without quorum nobody logs in with --user, " +
	"yet with --cert and --key, of a certificate in that user's name, snapshots still work"

// Parts of hints for which there are better ones when more is known.
const (
	hintNoCert  = "etcd asks for a client certificate: give --cert and --key"
	hintGiveCA  = "give --cacert, and --cert and --key where it asks for a client certificate"
	hintLeaveCA = "leave --cacert and --cert out"
)

// hint says what to look at, by a piece of the message that TLS, gRPC or etcd gives. The messages come as text
// only: gRPC does not hand on the error of a failed handshake.
func hint(text string) string {
	// A server that closes with something unread resets the connection: whether that or its end comes first is chance.
	if strings.Contains(text, "handshake failed: ") && strings.Contains(text, "connection reset by peer") {
		text = "handshake failed: EOF"
	}
	for _, h := range []struct{ piece, hint string }{
		{ErrWantsTLS.Error(), hintGiveCA},
		{"looked like an HTTP/1.1 header", "that is not etcd's client port, which is 2379 as a rule"},
		{"certificate signed by unknown authority", "--cacert is not the CA of etcd's server certificate"},
		{"certificate is valid for", "etcd's certificate does not name this endpoint: use a name or address that it has"},
		{"doesn't contain any IP SANs", "etcd's certificate names no address: use a name that it has"},
		{"not valid for any names", "etcd's certificate names nothing of this kind: use a name or address that it has"},
		{"certificate has expired or is not yet valid", "renew etcd's server certificate, or set the clock"},
		{"first record does not look like a TLS handshake", "etcd speaks plain http there: " + hintLeaveCA},
		{"handshake failed: EOF", "etcd ended the TLS handshake: it may speak plain http there: " + hintLeaveCA},
		{"tls: expired certificate", "--cert has expired: renew it"},
		{"tls: certificate required", hintNoCert},
		{"tls: unknown certificate authority", "etcd does not trust the CA of --cert"},
		{"tls: bad certificate", "etcd wants --cert and --key, of a client certificate that its CA signed and that has not expired"},
		{"connection refused", "is etcd running and listening there?"},
		{"error reading server preface", "etcd closed the connection: has it ended?"},
		{"error reading from server", "the connection broke: has etcd ended?"},
		{"connection reset by peer", "etcd closed the connection: has it ended?"},
		{"broken pipe", "etcd closed the connection: has it ended?"},
		{"authentication failed", "wrong --user or password"},
		{"user name is empty", "etcd has authentication enabled: give --user and --password-file"},
		{"not supported for learner", "the member is a learner: give --endpoints of a voting member"},
		{"permission denied", "the user needs the role root to take snapshots"},
		{"waiting for connections to become ready", "no answer in time: is etcd stopped, or a firewall between?"},
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

// explain is the function of that name, with hints that fit what is given.
func (c Config) explain(endpoint string, err error) error {
	e := explain(err)
	fit := func(hint, better string) { e.text = strings.Replace(e.text, hint, better, 1) }
	if c.Cert != "" {
		// A client keeps back a certificate of none of the CAs that the server names, which then misses one.
		fit(hintNoCert, "etcd does not trust the CA of --cert")
	}
	if c.CACert == "" {
		fit("--cacert is not the CA of etcd's server certificate", "give --cacert, the CA of etcd's server certificate")
	}
	switch plain, secure := strings.HasPrefix(endpoint, "http://"), strings.HasPrefix(endpoint, "https://"); {
	case plain:
		fit(hintGiveCA, "write https:// and "+hintGiveCA)
	case secure && c.secure():
		fit(hintLeaveCA, "write http://, and "+hintLeaveCA)
	case secure:
		fit(hintLeaveCA, "write http://, or HOST:PORT alone")
	}
	return e
}

// explain makes one readable line of a client error and says what to look at.
func explain(err error) *callError {
	text := rpctypes.ErrorDesc(err)
	// gRPC nests: connection error: desc = "transport: ...".
	if _, inner, ok := strings.Cut(text, `desc = "`); ok {
		text = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `\"`, `"`)
	}
	if h := hint(text); h != "" {
		text = fmt.Sprintf("%s (%s)", text, h)
	}
	// A learner refuses whatever it is asked but its status.
	if errors.Is(rpctypes.Error(err), rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)) {
		err = ErrLearner
	}
	return &callError{text: text, err: err}
}

// callError prints the readable line and unwraps to what the client gave.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string { return e.text }
func (e *callError) Unwrap() error { return e.err }
