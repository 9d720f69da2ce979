package peer

import (
	"context"
	"net"
	"time"
)

// ServeWithin is Serve with other limits.
func ServeWithin(ctx context.Context, l net.Listener, id Identity, o Offer, observe func(Event), stall, grace time.Duration) error {
	s := &server{Offer: o, stall: stall, grace: grace, observe: observe}
	return s.serve(ctx, l, id)
}
