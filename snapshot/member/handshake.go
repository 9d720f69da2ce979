package member

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// alertWait is how long a server that has taken the handshake may be silent before it counts as content: it refuses
// a certificate at once.
const alertWait = 500 * time.Millisecond

// ErrWantsTLS marks an etcd that was asked without TLS and wants it.
var ErrWantsTLS = errors.New("it speaks TLS, and not plain http")

// clarify gives the server's own word for why it does not want the connection, or else err: gRPC writes on, and finds a broken pipe
// instead of the alert as often as not; and a server that wants TLS closes a plain connection without a word.
func clarify(ctx context.Context, endpoint string, cfg *tls.Config, err error) error {
	u, parseErr := url.Parse(endpoint)
	if parseErr != nil || status.Code(err) != codes.Unavailable {
		return err
	}
	if cfg == nil {
		if speaksTLS(ctx, u.Host) {
			return ErrWantsTLS
		}
		return err
	}
	if alert := Alert(ctx, u.Host, cfg); alert != nil {
		return alert
	}
	return err
}

// speaksTLS tells whether whoever answers at HOST:PORT takes part in a handshake. Nothing is sent to him.
func speaksTLS(ctx context.Context, address string) bool {
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
