package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxText bounds how much of another's words stands in an error.
const maxText = 300

// callError prints one line and unwraps to its class and to what the network gave.
type callError struct {
	text string
	kind error // may be nil
	err  error
}

func (e *callError) Error() string { return e.text }

func (e *callError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}

// hint says what to look at, by a piece of a message.
type hint struct{ piece, mend string }

// clientHints are for what a Client meets.
func clientHints() []hint {
	return []hint{
		{"certificate signed by unknown authority", "--cacert is not the CA of the peer's certificate"},
		{"tls: certificate required", "the peer asks for a client certificate: give --cert and --key"},
		{"tls: unknown certificate authority", "the peer does not trust the CA of --cert: give a certificate of the cluster's CA"},
		{"tls: expired certificate", "--cert has expired, or the peer's clock is wrong"},
		{"tls: bad certificate", "the peer wants --cert and --key, of a client certificate that its CA signed and that has not expired"},
		{"protocol version not supported", "the peer speaks no TLS 1.2: is it a serve of this program?"},
		{"first record does not look like a TLS handshake", "the peer does not speak TLS there: is the port that of serve?"},
		{"server gave HTTP response to HTTPS client", "the peer speaks plain http there: is the port that of serve?"},
		{"connection refused", "is serve running there, and the port right?"},
		{"no such host", "is the name right, and DNS working?"},
		{"no route to host", "is the address right, or a firewall between?"},
		{"network is unreachable", "is the address right, or a firewall between?"},
		{"no progress", "the peer is silent: is it overloaded, or a firewall between?"},
		{"EOF", "the peer closed the connection: has serve ended, or is the port another program's?"},
		{"connection reset by peer", "the peer closed the connection: has serve ended, or is the port another program's?"},
		{"broken pipe", "the peer closed the connection: has serve ended, or is the port another program's?"},
	}
}

// serverHints are for what Serve meets.
func serverHints() []hint {
	return []hint{
		{"didn't provide a certificate", "the client showed no certificate: give --cert and --key there"},
		{"certificate signed by unknown authority", "the client's certificate is not of the CA in --cacert"},
		{"certificate has expired or is not yet valid", "renew the client's certificate, or set the clock"},
		{"incompatible key usage", "the client's certificate is for servers only"},
		{"offered only unsupported versions", "the client speaks no TLS 1.2"},
		{"remote error: tls: bad certificate", "the client does not trust this certificate, or reached it by a name that is not in it"},
		{"remote error: tls: unknown certificate authority", "the client does not trust the CA of --cert"},
		{"client sent an HTTP request to an HTTPS server", "the client must speak https"},
	}
}

// withHint adds the first hint that fits.
func withHint(text string, hints []hint) string {
	for _, h := range hints {
		if strings.Contains(text, h.piece) {
			return fmt.Sprintf("%s (%s)", text, h.mend)
		}
	}
	return text
}

// explain makes one readable line: what, where, why, and what to look at.
func (c *Client) explain(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("peer %s: %s: %w", c.peer, doing, context.Cause(ctx))
	}
	text := c.verdict(err)
	if text == "" {
		text = withHint(plainText(err), clientHints())
	}
	return &callError{text: fmt.Sprintf("peer %s: %s: %s", c.peer, doing, text), kind: kindOf(err), err: err}
}

// verdict is for a peer's certificate that is no good for a reason that it shows itself.
func (c *Client) verdict(err error) string {
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host) && namesOf(host.Certificate) == "":
		return "its certificate names no host and no address: it needs subject alternative names"
	case errors.As(err, &host):
		return fmt.Sprintf("its certificate is for %s and not for %s: use a name or address that it has", namesOf(host.Certificate), host.Host)
	case !errors.As(err, &invalid):
		return ""
	case invalid.Reason == x509.Expired:
		return fmt.Sprintf("its certificate is valid from %s to %s: renew it, or set the clock",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case invalid.Reason == x509.IncompatibleUsage:
		return "its certificate is no server's, like kubeadm's healthcheck-client.crt: start serve with the member's own, as " +
			"/etc/kubernetes/pki/etcd/server.crt"
	}
	return ""
}

// kindOf tells what no further try mends; nil for the rest.
func kindOf(err error) error {
	for _, kind := range []error{ErrConfig, ErrCertificate, ErrNoPeer, ErrChanged} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return ErrCertificate
	}
	text := plainText(err)
	for _, piece := range []string{
		"tls: certificate required", "tls: unknown certificate authority", "tls: expired certificate", "tls: bad certificate",
	} {
		if strings.Contains(text, piece) {
			return ErrCertificate
		}
	}
	return nil
}

// plainText is err's own message in one line.
func plainText(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}
