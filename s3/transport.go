package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// dialTimeout bounds name resolution and connecting, which move no byte that Stall could count.
const dialTimeout = 10 * time.Second

// transport watches each request for progress and notes how far the server's clock is from ours.
type transport struct {
	base  *http.Transport
	stall time.Duration
	skew  atomic.Pointer[time.Duration] // how far our clock is ahead, as of the last answer
}

func newTransport(t *tls.Config, timeout, stall time.Duration) *transport {
	dialer := &net.Dialer{Timeout: min(dialTimeout, timeout), KeepAlive: 15 * time.Second}
	return &transport{stall: stall, base: &http.Transport{
		Proxy:               proxy(),
		DialContext:         dialer.DialContext,
		TLSClientConfig:     t,
		TLSHandshakeTimeout: timeout,
		MaxIdleConnsPerHost: 2 * uploadThreads,
		IdleConnTimeout:     30 * time.Second,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
		DisableCompression:  true, // a length must stay the object's
		ForceAttemptHTTP2:   false,
	}}
}

// proxy reads the environment anew, and keeps a proxy's password out of errors. The metadata service of a cloud is on
// the link itself, never behind a proxy.
func proxy() func(*http.Request) (*url.URL, error) {
	choose := httpproxy.FromEnvironment().ProxyFunc()
	return func(r *http.Request) (*url.URL, error) {
		if ip := net.ParseIP(r.URL.Hostname()); ip != nil && ip.IsLinkLocalUnicast() {
			return nil, nil //nolint:nilnil // net/http's way to say no proxy
		}
		u, err := choose(r.URL)
		if err != nil {
			return nil, fmt.Errorf("%w: HTTPS_PROXY or HTTP_PROXY holds no valid URL", ErrConfig)
		}
		return u, nil
	}
}

// clock is how far ours is ahead of the server's, if that is known.
func (t *transport) clock() (skew time.Duration, known bool) {
	if s := t.skew.Load(); s != nil {
		return *s, true
	}
	return 0, false
}

// RoundTrip ends the request with ErrTimeout when no byte moves for a whole Stall, in either direction.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	w := newWatch(t.stall, cancel)
	watched := req.WithContext(ctx)
	if req.Body != nil {
		watched.Body = &sentBody{body: req.Body, watch: w}
	}
	res, err := t.base.RoundTrip(watched)
	w.answered()
	if err != nil {
		cancel()
		return nil, w.explain(err)
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		// The header has whole seconds, cut off.
		skew := time.Since(date.Add(500 * time.Millisecond))
		t.skew.Store(&skew)
	}
	res.Body = &receivedBody{body: res.Body, watch: w, cancel: cancel}
	return res, nil
}

// watch cancels a request that rests for too long. While our own side is at work (reading the file, waiting for the rate
// limit, writing what came) it is paused.
type watch struct {
	patience time.Duration
	fired    atomic.Bool

	mu    sync.Mutex
	timer *time.Timer
	sent  bool // the answer has begun; what remains of the request counts no more
}

func newWatch(patience time.Duration, cancel func()) *watch {
	w := &watch{patience: patience}
	w.timer = time.AfterFunc(patience, func() {
		w.fired.Store(true)
		cancel()
	})
	return w
}

func (w *watch) pause() { w.timer.Stop() }

func (w *watch) resume() { w.timer.Reset(w.patience) }

// sending pauses and resumes around a read of the request's body.
func (w *watch) sending(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.sent:
	case on:
		w.resume()
	default:
		w.pause()
	}
}

func (w *watch) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	w.pause()
}

func (w *watch) explain(err error) error {
	if err != nil && w.fired.Load() && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: not a byte moved for %s", ErrTimeout, w.patience)
	}
	return err
}

type sentBody struct {
	body  io.ReadCloser
	watch *watch
}

func (s *sentBody) Read(p []byte) (int, error) {
	s.watch.sending(false)
	defer s.watch.sending(true)
	return s.body.Read(p)
}

func (s *sentBody) Close() error { return s.body.Close() }

type receivedBody struct {
	body   io.ReadCloser
	watch  *watch
	cancel func()
}

func (r *receivedBody) Read(p []byte) (int, error) {
	r.watch.resume()
	n, err := r.body.Read(p)
	r.watch.pause()
	return n, r.watch.explain(err)
}

func (r *receivedBody) Close() error {
	r.watch.pause()
	err := r.body.Close()
	r.cancel()
	return err
}
