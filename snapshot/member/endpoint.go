package member

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"etcd-rolling-backup/internal/printable"
)

// endpoint is where a member listens, in the two forms that are needed of it.
type endpoint struct {
	url              string // for etcd's client and for messages
	network, address string // for net.Dial
	serverName       string // that its certificate must have
	secure           bool   // it speaks TLS
}

func (c Config) secure() bool { return c.CACert != "" || c.Cert != "" }

// parseEndpoint completes an endpoint: https if a CA or certificate is set, because etcd's TLS port accepts nothing else.
func (c Config) parseEndpoint(text string) (endpoint, error) {
	if strings.HasPrefix(text, "unix:") || strings.HasPrefix(text, "unixs:") {
		return parseSocket(text)
	}
	full := text
	if !strings.Contains(text, "://") {
		full = "http://" + text
		if c.secure() {
			full = "https://" + text
		}
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || (u.Scheme != "http" && u.Scheme != "https") ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return endpoint{}, fmt.Errorf("%w: --endpoints: %s is not HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:///PATH", ErrConfig, printable.Address(text))
	}
	if u.Scheme == "http" && c.secure() {
		return endpoint{}, fmt.Errorf("%w: --endpoints: %s is plain http, but a CA or certificate is set: write https:// or remove them", ErrConfig, text)
	}
	return endpoint{
		url: u.Scheme + "://" + u.Host, network: "tcp", address: u.Host, serverName: u.Hostname(), secure: u.Scheme == "https",
	}, nil
}

// parseSocket reads unix:PATH or unix://PATH, or unixs for TLS, as etcd's client does: a relative path begins at the working directory, and
// the certificate must have the name of the file, up to a colon. A CA may be set for a plain socket: it is for --peer, and nobody else can
// answer on this machine.
func parseSocket(text string) (endpoint, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	file := strings.TrimPrefix(rest, "//")
	name, _, _ := strings.Cut(path.Base(file), ":")
	if file == "" || strings.HasSuffix(file, "/") || strings.ContainsAny(file, "?#") {
		return endpoint{}, fmt.Errorf("%w: --endpoints: %s has no path of a socket: write %s:///PATH as in etcd's --listen-client-urls", ErrConfig, printable.Address(text), scheme)
	}
	return endpoint{url: scheme + "://" + file, network: "unix", address: file, serverName: name, secure: scheme == "unixs"}, nil
}
