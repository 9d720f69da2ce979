// Package handshake asks a TLS server why it refused a connection, for callers whose own protocol hides it.
package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// alertWait is how long a server that has taken the handshake may be silent before it counts as content: it refuses
// a certificate at once.
const alertWait = 500 * time.Millisecond

// Alert gives the TLS alert with which the server at HOST:PORT refuses a connection that takes part in the whole handshake,
// nil when there is none. With TLS 1.3 the client is done with the handshake before the server has looked at its
// certificate; who then writes may find a broken connection first, who only reads always finds the alert.
func Alert(ctx context.Context, address string, cfg *tls.Config) error {
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil // the caller met the same
	}
	defer conn.Close()
	if conn.SetReadDeadline(time.Now().Add(alertWait)) != nil {
		return nil
	}
	_, err = conn.Read(make([]byte, 1))
	if op := new(net.OpError); errors.As(err, &op) && alerted(op) {
		return op
	}
	return nil
}

// SpeaksTLS tells whether whoever answers at HOST:PORT takes part in a handshake. Nothing is sent to him.
func SpeaksTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, alertWait)
	defer cancel()
	asking := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // who he is does not matter here
	conn, err := asking.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close() // nothing was written
	}
	return err == nil || alerted(err)
}

// alerted tells of an error by which a server has refused a handshake.
func alerted(err error) bool {
	op := new(net.OpError)
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls's name for an alert
}
