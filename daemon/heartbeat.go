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

// A heartbeat is tried so often, with these pauses between; the next cycle has a new one.
const (
	beatTries   = 3
	beatPause   = 2 * time.Second
	beatTimeout = 10 * time.Second
)

// ErrHeartbeat marks a heartbeat's address that can't be used.
var ErrHeartbeat = errors.New("not the address of a heartbeat: give an http:// or https:// URL")

// Heartbeat calls a URL as healthchecks.io and its like want it: the URL itself after a cycle when all is well, /fail behind its path
// when it is not. Whoever knows the URL can call it, so no error of it shows more than the host.
type Heartbeat struct {
	well, failed *url.URL
	client       *http.Client
}

// NewHeartbeat reads the address; nothing is called. Errors wrap ErrHeartbeat and do not repeat it.
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
	return &Heartbeat{well: u, failed: u.JoinPath("fail"), client: &http.Client{
		Transport: transport, Timeout: beatTimeout,
		// Go's error for a redirection that can't be followed would show where it led to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Host is all of the address that may be shown.
func (h *Heartbeat) Host() string { return h.well.Host }

// Address is the URL with all that is in it, for those who connect by themselves and tell nobody.
func (h *Heartbeat) Address() *url.URL { return h.well }

// Send calls the URL once.
func (h *Heartbeat) Send(ctx context.Context, well bool) error {
	at := h.well
	if !well {
		at = h.failed
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return ErrHeartbeat
	}
	req.Header.Set("User-Agent", "etcd-rolling-backup")
	res, err := h.client.Do(req)
	if err != nil {
		// Its text begins with the URL.
		if shown := (*url.Error)(nil); errors.As(err, &shown) {
			err = shown.Err
		}
		return fmt.Errorf("call %s: %w", h.Host(), err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("call %s: it answers %s: give the address that this leads to", h.Host(), res.Status)
	case res.StatusCode >= 400:
		return fmt.Errorf("call %s: it answers %s", h.Host(), res.Status)
	case err != nil:
		return fmt.Errorf("call %s: %w", h.Host(), err)
	}
	return nil
}

// beat leaves word of how a cycle has ended. An older word that was not sent yet says nothing any more.
func (d *Daemon) beat(well bool) {
	if d.Heartbeat == nil {
		return
	}
	select {
	case <-d.beats:
	default:
	}
	d.beats <- well // one goroutine alone gets here, so there is room
}

// beatLoop sends what beat leaves, and that all is well only if nothing else is wrong either. Its own trouble is told, and is no
// trouble of the backup's.
func (d *Daemon) beatLoop(ctx context.Context) {
	d.waitPast(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case well := <-d.beats:
			if ctx.Err() != nil {
				return
			}
			if err := d.send(ctx, well && len(d.unwell()) == 0); err != nil && ctx.Err() == nil {
				d.Log.WithError(err).Warn("heartbeat failed; backups go on")
			}
		}
	}
}

func (d *Daemon) send(ctx context.Context, well bool) error {
	for try, pause := 1, beatPause; ; try, pause = try+1, 2*pause {
		err := d.Heartbeat(ctx, well)
		if err == nil || try == beatTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
