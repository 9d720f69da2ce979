package command

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/metrics"
)

// checkWait bounds each try of a connection.
const checkWait = 10 * time.Second

// checkMonitor tries the address and the file as the daemon would, and releases the address again.
func checkMonitor(ctx context.Context, w config.Monitor) []finding {
	var out []finding
	const off = "off: there are no metrics and no status page"
	switch {
	case w.Listen != "":
		out = checkListen(ctx, w)
	case w.Heartbeat != nil || w.HeartbeatFile != "":
		out = append(out, okay("listen", off))
	default: // a daemon that fails for months would look like one that works
		out = append(out, warn("listen", "%s, and without --heartbeat-url only the log reports failures", off))
	}
	switch h, err := w.OpenHeartbeat(); {
	case err != nil:
		out = append(out, fail("heartbeat", err))
	case h != nil:
		out = append(out, checkHeartbeat(ctx, h.Host(), h.Address()))
	}
	return out
}

func checkListen(ctx context.Context, w config.Monitor) []finding {
	const what, file = "listen", "web-config"
	server, err := service.OpenServer(ctx, w, http.NotFoundHandler(), nil)
	if errors.Is(err, metrics.ErrWebConfig) {
		return []finding{fail(file, err)}
	}
	var out []finding
	if w.WebConfig != "" {
		out = append(out, okay(file, "%s is valid", w.WebConfig))
	}
	switch {
	case err == nil && server.Close() == nil:
		return append(out, okay(what, "%s is free", w.Listen))
	case !errors.Is(err, syscall.EADDRINUSE):
		return append(out, fail(what, err))
	case ours(ctx, w.Listen):
		return append(out, okay(what, "%s is in use by a daemon of this program", w.Listen))
	case w.WebConfig != "": // without the password nobody can tell who listens there
		return append(out, warn(what, "%s is in use: if another program uses it, the daemon will not start", w.Listen))
	}
	return append(out, fail(what, err))
}

// ours is true if a daemon of this program answers there.
func ours(ctx context.Context, listen string) bool {
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/metrics", nil)
	if err != nil {
		return false
	}
	// The address may have no host, or the name of a port, which a URL can't. There is no proxy: it is this machine.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, listen)
	}}}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return err == nil && strings.Contains(string(body), "etcd_rolling_backup_build_info")
}

// checkHeartbeat connects and calls nothing: a call would count as a report of a good backup.
func checkHeartbeat(ctx context.Context, host string, u *url.URL) finding {
	const what = "heartbeat"
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return fail(what, errors.New("HTTPS_PROXY or HTTP_PROXY is not a valid URL"))
	}
	at, through := u, ""
	if proxy != nil {
		at, through = proxy, " through the proxy "+proxy.Host
	}
	dial := (&net.Dialer{}).DialContext
	if proxy == nil && u.Scheme == "https" {
		dial = (&tls.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", address(at))
	if err != nil {
		return fail(what, fmt.Errorf("connect to %s%s: %w", host, through, err))
	}
	_ = conn.Close() // it has served its purpose
	if proxy != nil {
		return okay(what, "the proxy %s accepts connections; %s was not called", proxy.Host, host)
	}
	return okay(what, "%s accepts connections; it was not called", host)
}

// address completes the port.
func address(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme]))
}
