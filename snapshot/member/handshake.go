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
