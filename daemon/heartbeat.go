package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Tries of one heartbeat, the first pause between them, which then doubles, and the timeout of each try.
const (
	beatTries   = 3
	beatPause   = 2 * time.Second
	beatTimeout = 10 * time.Second
)

// ErrHeartbeat marks an invalid heartbeat URL.
var ErrHeartbeat = errors.New("not a valid http:// or https:// URL")

// Heartbeat calls a URL in the way of healthchecks.io: the URL itself if the backups are healthy after a cycle, with /fail appended to
// its path if not. The URL is a secret, because anyone who knows it can call it: errors show only the host.
type Heartbeat struct {
	healthy, failed *url.URL
	client          *http.Client
}

// NewHeartbeat parses the URL and sends nothing. Errors wrap ErrHeartbeat and do not contain the URL.
func NewHeartbeat(address string) (*Heartbeat, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, ErrHeartbeat
	}
	u.Fragment = ""
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: beatTimeout,
		DisableKeepAlives: true, // the next call is a cycle away
	}
	return &Heartbeat{healthy: u, failed: u.JoinPath("fail"), client: &http.Client{
		Transport: transport, Timeout: beatTimeout,
		// Redirections are not followed: Go's error for a failed one would contain its target.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Host is the only part of the URL that may be shown.
func (h *Heartbeat) Host() string { return h.healthy.Host }

// Address is the full URL, which is a secret.
func (h *Heartbeat) Address() *url.URL { return h.healthy }

// Send calls the URL once.
func (h *Heartbeat) Send(ctx context.Context, healthy bool) error {
	at := h.healthy
	if !healthy {
		at = h.failed
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return ErrHeartbeat
	}
	req.Header.Set("User-Agent", "etcd-rolling-backup")
	res, err := h.client.Do(req)
	if err != nil {
		// The text of a url.Error begins with the URL.
		if shown := (*url.Error)(nil); errors.As(err, &shown) {
			err = shown.Err
		}
		return fmt.Errorf("call %s: %w", h.Host(), err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("call %s: it answers %s: set the URL of the redirection's target", h.Host(), res.Status)
	case res.StatusCode >= 400:
		return fmt.Errorf("call %s: it answers %s", h.Host(), res.Status)
	case err != nil:
		return fmt.Errorf("call %s: %w", h.Host(), err)
	}
	return nil
}

// beat hands the result of a cycle to beatLoop. It replaces an older result that was not sent yet.
func (d *Daemon) beat(good bool) {
	if d.Heartbeat == nil {
		return
	}
	select {
	case <-d.beats:
	default:
	}
	d.beats <- good // never blocks: only one goroutine sends
}

// beatLoop reports success only if there is no other problem either. A failed call is logged; it does not make the backups unhealthy.
func (d *Daemon) beatLoop(ctx context.Context) {
	d.awaitMirror(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case good := <-d.beats:
			if ctx.Err() != nil {
				return
			}
			if err := d.send(ctx, good && len(d.Problems()) == 0); err != nil && ctx.Err() == nil {
				d.Log.WithError(err).Warn("heartbeat failed; backups continue")
			}
		}
	}
}

func (d *Daemon) send(ctx context.Context, healthy bool) error {
	for try, pause := 1, beatPause; ; try, pause = try+1, 2*pause {
		err := d.Heartbeat(ctx, healthy)
		if err == nil || try == beatTries {
			return err
		}
		if await(ctx, pause, nil); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
