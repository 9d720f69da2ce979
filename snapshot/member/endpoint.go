package member

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// maxSocketPath is Linux's limit, in bytes.
const maxSocketPath = 107

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
	if len(file) > maxSocketPath {
		return endpoint{}, fmt.Errorf("%w: --endpoints: the path of the socket has %d bytes, and the system allows %d: use HOST:PORT, or a relative path", ErrConfig, len(file), maxSocketPath)
	}
	return endpoint{url: scheme + "://" + file, network: "unix", address: file, serverName: name, secure: scheme == "unixs"}, nil
}

// missingSocket returns an error if no socket is at the path of the endpoint, which the system would report as a refused connection if
// another kind of file is there. Its code is that of an endpoint that does not answer.
func (e endpoint) missingSocket() error {
	if e.network != "unix" {
		return nil
	}
	where, err := filepath.Abs(e.address) // of a relative one, nobody sees where it begins
	if err != nil {
		where = e.address
	}
	info, err := os.Stat(where)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return status.Errorf(codes.Unavailable, "%s: no such file or directory (is etcd running, and is this the path in its --listen-client-urls?)", where)
	case err != nil || info.Mode().Type() == fs.ModeSocket:
		return nil // the connection's own error says more
	}
	kind := "a file"
	if info.IsDir() {
		kind = "a directory"
	}
	return status.Errorf(codes.Unavailable, "%s is %s and not a socket: use the path in etcd's --listen-client-urls", where, kind)
}
