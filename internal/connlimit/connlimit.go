// Package connlimit bounds the connections of an HTTP server, so that clients that connect and then stay silent neither take all
// descriptors of the process nor keep others out.
//
// Invariants: a server never holds more than the limit; a new client is let in at the cost of the address that holds the most.
package connlimit

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Limiter counts the connections of one server.
type Limiter struct {
	limit      int
	keepActive bool

	mu    sync.Mutex
	conns map[net.Conn]*state
	next  uint64
}

type state struct {
	number uint64 // in the order of arrival
	from   netip.Addr
	active bool // a request has begun; with TLS, so the handshake is over
}

// New returns a limiter for that many connections. keepActive: connections with a request are never closed, because only clients that
// have authenticated get that far, and their transfers take long.
func New(limit int, keepActive bool) *Limiter {
	return &Limiter{limit: limit, keepActive: keepActive, conns: map[net.Conn]*state{}}
}

// ConnState is the hook of http.Server.
func (l *Limiter) ConnState(c net.Conn, s http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s {
	case http.StateNew:
		l.next++
		l.conns[c] = &state{number: l.next, from: source(c)}
		if len(l.conns) > l.limit {
			l.evict(c)
		}
	case http.StateActive, http.StateIdle:
		if x := l.conns[c]; x != nil { // nil: it was evicted
			x.active = s == http.StateActive
		}
	case http.StateClosed, http.StateHijacked:
		delete(l.conns, c)
	}
}

// evict closes a connection of the address that has the most: the oldest silent one, or else the oldest. If nothing may be closed, the
// new connection is.
func (l *Limiter) evict(newest net.Conn) {
	counts := map[netip.Addr]int{}
	for _, x := range l.conns {
		counts[x.from]++
	}
	victim := newest
	var worst *state
	for c, x := range l.conns {
		if c == newest || x.active && l.keepActive {
			continue
		}
		if worst == nil || worse(x, worst, counts) {
			victim, worst = c, x
		}
	}
	delete(l.conns, victim)
	Close(victim)
}

// Close closes a connection of a server without waiting for the client.
func Close(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn() // a TLS alert would wait for the client
	}
	_ = c.Close() // the server reports what it was doing there
}

func worse(a, b *state, counts map[netip.Addr]int) bool {
	silent := func(x *state) int {
		if x.active {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(counts[a.from], counts[b.from]), cmp.Compare(silent(a), silent(b)), cmp.Compare(b.number, a.number)) > 0
}

// source is the client's address; for IPv6 its network, because a host has as many addresses there as it likes.
func source(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	host := at.Addr().Unmap()
	if p, err := host.Prefix(64); err == nil && host.Is6() {
		return p.Addr()
	}
	return host
}
