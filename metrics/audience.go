package metrics

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Audience says who may read the status page and the texts of /readyz: they name the bucket, files and members, and quote errors. The
// zero value: who has authenticated, and this machine.
type Audience struct {
	// WebConfig is the server's web configuration file; "": nobody can authenticate.
	WebConfig string
	// Network is true if everybody may read them.
	Network bool
}

// trusts reports whether the client may read everything.
func (a Audience) trusts(r *http.Request) bool {
	return a.Network || a.authenticated(r) || local(r)
}

// authenticated reports whether the server has checked a certificate or a password of the client: a wrong one never gets here.
func (a Audience) authenticated(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if _, _, given := r.BasicAuth(); !given || a.WebConfig == "" {
		return false
	}
	c, err := readConfig(a.WebConfig)
	return err == nil && len(c.Users) > 0
}

// local reports whether the request comes from this machine itself. A browser here may be made to send requests for a name of another
// web site, which was pointed to this machine (DNS rebinding), and a proxy here forwards requests of others: both show in the header.
func local(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() || r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
