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

// clarify gives the server's own word for why it does not want the TLS connection, or else err. With TLS 1.3 the client
// is done with the handshake before the server has looked at its certificate; gRPC then writes on, and instead of the
// server's alert finds a broken pipe as often as not. Who only reads always finds the alert.
func clarify(ctx context.Context, endpoint string, cfg *tls.Config, err error) error {
	u, parseErr := url.Parse(endpoint)
	if cfg == nil || parseErr != nil || status.Code(err) != codes.Unavailable {
		return err
	}
	conn, dialErr := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", u.Host)
	if dialErr != nil {
		return err // gRPC met the same
	}
	defer conn.Close()
	if conn.SetReadDeadline(time.Now().Add(alertWait)) != nil {
		return err
	}
	_, readErr := conn.Read(make([]byte, 1))
	if op := new(net.OpError); errors.As(readErr, &op) && op.Op == "remote error" { // crypto/tls's name for an alert
		return op
	}
	return err
}
