package member

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/snapshot/handshake"
)

// ErrWantsTLS marks an etcd that requires TLS and was asked without it.
var ErrWantsTLS = errors.New("it requires TLS and does not speak plain http")

// clarify returns the server's own reason for refusing the connection, or else err. gRPC writes on, and often gets a broken pipe
// instead of the alert. A server that requires TLS closes a plain connection without a message.
func clarify(ctx context.Context, endpoint string, cfg *tls.Config, err error) error {
	u, parseErr := url.Parse(endpoint)
	if parseErr != nil || status.Code(err) != codes.Unavailable {
		return err
	}
	if cfg == nil {
		if handshake.SpeaksTLS(ctx, u.Host) {
			return ErrWantsTLS
		}
		return err
	}
	if alert := handshake.Alert(ctx, u.Host, cfg); alert != nil {
		return alert
	}
	return err
}
