// Package handshake asks a TLS server why it refused a connection, for callers whose own protocol hides the reason.
package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// alertWait is how long we wait for an alert after the handshake. No alert within this time means that the server accepts the
// certificate, because a refusal comes immediately.
const alertWait = 500 * time.Millisecond

// Alert returns the TLS alert with which the server at an address of the network, as for net.Dial, refuses a complete handshake, or nil if there is none. With TLS
// 1.3 the client has finished the handshake before the server checks its certificate. A client that then writes may get a broken
// connection first; a client that only reads always gets the alert.
func Alert(ctx context.Context, network, address string, cfg *tls.Config) error {
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, network, address)
	if err != nil {
		return nil // the caller got the same error
	}
	defer conn.Close()
	if conn.SetReadDeadline(time.Now().Add(alertWait)) != nil {
		return nil
	}
	_, err = conn.Read(make([]byte, 1))
	return alertIn(err)
}

// SpeaksTLS reports whether the server takes part in a TLS handshake. It sends no request.
func SpeaksTLS(ctx context.Context, network, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, alertWait)
	defer cancel()
	asking := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // who he is does not matter here
	conn, err := asking.DialContext(ctx, network, address)
	if err == nil {
		_ = conn.Close() // nothing was written
	}
	return err == nil || alertIn(err) != nil
}

// alertIn returns a server's refusal of a handshake, if err is one.
func alertIn(err error) error {
	if op := new(net.OpError); errors.As(err, &op) && op.Op == "remote error" { // crypto/tls's name for an alert
		return op
	}
	return nil
}
