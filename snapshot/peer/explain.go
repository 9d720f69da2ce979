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

// maxText limits how much of a remote text is quoted in an error.
const maxText = 300

// callError prints one line and unwraps to its class and to the network's error.
type callError struct {
	text string
	kind error // may be nil
	err  error
}

func (e *callError) Error() string   { return e.text }
func (e *callError) Unwrap() []error { return []error{e.kind, e.err} }

// hint is what to check for a part of a message.
type hint struct{ piece, fix string }

// clientHints are for errors of a Client.
func clientHints() []hint {
	return []hint{
		{"certificate signed by unknown authority", "--cacert is not the CA of the peer's certificate"},
		{"tls: certificate required", "the peer requires a client certificate: set --cert and --key"},
		{"tls: unknown certificate authority", "the peer does not trust the CA of --cert: use a certificate of the cluster's CA"},
		{"tls: expired certificate", "--cert has expired, or the peer's clock is wrong"},
		{"tls: bad certificate", "the peer requires --cert and --key of a client certificate that its CA signed and that has not expired"},
		{"protocol version not supported", "the peer does not support TLS 1.2: is it a serve of this program?"},
		{"first record does not look like a TLS handshake", "the peer does not speak TLS there: is this the port of serve?"},
		{"server gave HTTP response to HTTPS client", "the peer speaks plain http there: is this the port of serve?"},
		{"connection refused", "is serve running there, and is the port right?"},
		{"no such host", "is the name right, and does DNS work?"},
		{"no route to host", "is the address right, or does a firewall block it?"},
		{"network is unreachable", "is the address right, or does a firewall block it?"},
		{"no progress", "the peer does not answer: is it overloaded, or does a firewall block it?"},
		{"EOF", "the peer closed the connection: has serve stopped, or does another program use the port?"},
		{"connection reset by peer", "the peer closed the connection: has serve stopped, or does another program use the port?"},
		{"broken pipe", "the peer closed the connection: has serve stopped, or does another program use the port?"},
	}
}

// serverHints are for errors of Serve.
func serverHints() []hint {
	return []hint{
		{"didn't provide a certificate", "the client sent no certificate: set --cert and --key there"},
		{"certificate signed by unknown authority", "the CA in --cacert did not sign the client's certificate"},
		{"certificate has expired or is not yet valid", "renew the client's certificate, or correct the clock"},
		{"incompatible key usage", "the client's certificate is for servers only"},
		{"offered only unsupported versions", "the client does not support TLS 1.2"},
		{"remote error: tls: bad certificate", "the client does not trust this certificate, or used a name that is not in it"},
		{"remote error: tls: unknown certificate authority", "the client does not trust the CA of --cert"},
		{"client sent an HTTP request to an HTTPS server", "the client must speak https"},
	}
}

// withHint adds the first hint that matches.
func withHint(text string, hints []hint) string {
	for _, h := range hints {
		if strings.Contains(text, h.piece) {
			return fmt.Sprintf("%s (%s)", text, h.fix)
		}
	}
	return text
}

// explain returns one readable line: what, where, why, and what to check.
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

// verdict explains a peer's certificate that is itself the reason of the failure.
func (c *Client) verdict(err error) string {
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host) && namesOf(host.Certificate) == "":
		return "its certificate contains no host name and no address: it needs subject alternative names"
	case errors.As(err, &host):
		return fmt.Sprintf("its certificate is valid for %s, not for %s: use a name or address that is in it", namesOf(host.Certificate), host.Host)
	case !errors.As(err, &invalid):
		return ""
	case invalid.Reason == x509.Expired:
		return fmt.Sprintf("its certificate is valid from %s to %s: renew it, or correct the clock",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case invalid.Reason == x509.IncompatibleUsage:
		return "its certificate is not for servers, like kubeadm's healthcheck-client.crt: start serve with the member's own, such as " +
			"/etc/kubernetes/pki/etcd/server.crt"
	}
	return ""
}

// kindOf returns the class of an error that another try cannot fix; nil for the rest.
func kindOf(err error) error {
	for _, kind := range []error{ErrConfig, ErrCertificate, ErrNoPeer, ErrNotServed, ErrChanged} {
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

// plainText returns err's own message in one line.
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
