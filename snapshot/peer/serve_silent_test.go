package peer_test

import (
	"net"
	"testing"
)

// Whoever can reach the port can connect. A member still gets the snapshot, while such connections are closed.
func TestSilentConnectionsKeepNoMemberOut(t *testing.T) {
	pki := newPKI(t)
	b := serve(t, server(pki), offer(noise(1000)))
	var first net.Conn
	for i := range 400 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.addr)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		if i == 0 {
			first = c
		}
	}
	remote, err := dial(t, client(pki), b.addr).Offer(t.Context())
	if err != nil || remote.Size != 1000 {
		t.Errorf("the member got %+v: %v", remote, err)
	}
	if n, err := first.Read(make([]byte, 1)); err == nil {
		t.Errorf("a silent connection got %d bytes", n)
	}
}
