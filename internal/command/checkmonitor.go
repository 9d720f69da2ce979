package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"etcd-rolling-backup/metrics"
)

// checkWait bounds each try of a connection.
const checkWait = 10 * time.Second

// checkMonitor tries the address and the file as the daemon would, and gives the address back.
func checkMonitor(ctx context.Context, w monitor) []finding {
	var out []finding
	const off = "it is off: nobody can ask the daemon how it is"
	switch {
	case w.listen != "":
		out = checkListen(ctx, w)
	case w.heartbeat != nil:
		out = append(out, okay("listen", off))
	default: // one that fails for months would look like one that works
		out = append(out, warn("listen", "%s, and without --heartbeat-url its log alone tells of a failure", off))
	}
	if w.heartbeat != nil {
		out = append(out, checkHeartbeat(ctx, w.heartbeat.Host(), w.heartbeat.Address()))
	}
	return out
}

func checkListen(ctx context.Context, w monitor) []finding {
	const what, file = "listen", "web-config"
	server, err := metrics.Open(ctx, metrics.ServerOptions{Addr: w.listen, WebConfig: w.webConfig, Handler: http.NotFoundHandler()})
	if errors.Is(err, metrics.ErrWebConfig) {
		return []finding{fail(file, webConfigMend(err))}
	}
	var out []finding
	if w.webConfig != "" {
		out = append(out, okay(file, "%s can be used", w.webConfig))
	}
	switch {
	case err == nil && server.Close() == nil:
		return append(out, okay(what, "%s is free", w.listen))
	case !errors.Is(err, syscall.EADDRINUSE):
		return append(out, fail(what, err))
	case ours(ctx, w.listen):
		return append(out, okay(what, "%s is in use, by a daemon of this program", w.listen))
	case w.webConfig != "": // who listens there can't be asked without the password
		return append(out, warn(what, "%s is in use: if not by this daemon, it will not start", w.listen))
	}
	return append(out, fail(what, err))
}

// ours tells whether a daemon of this program answers there.
func ours(ctx context.Context, listen string) bool {
	host, service, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service) // a URL takes no name of a service
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, strconv.Itoa(port))+"/metrics", nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy: it is this machine
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return err == nil && strings.Contains(string(body), "etcd_rolling_backup_build_info")
}

// checkHeartbeat connects and asks nothing: a call would count as word of a good backup.
func checkHeartbeat(ctx context.Context, host string, u *url.URL) finding {
	const what = "heartbeat"
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return fail(what, errors.New("HTTPS_PROXY or HTTP_PROXY holds no valid URL"))
	}
	at, through := u, ""
	if proxy != nil {
		at, through = proxy, " through the proxy "+proxy.Host
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(at))
	if err != nil {
		return fail(what, fmt.Errorf("connect to %s%s: %w", host, through, err))
	}
	defer conn.Close()
	if proxy != nil {
		return okay(what, "the proxy %s takes connections; %s was not called", proxy.Host, host)
	}
	if u.Scheme == "https" {
		if err := tls.Client(conn, &tls.Config{ServerName: u.Hostname()}).HandshakeContext(ctx); err != nil {
			return fail(what, fmt.Errorf("connect to %s: %w", host, err))
		}
	}
	return okay(what, "%s takes connections; it was not called", host)
}

// address completes the port.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
