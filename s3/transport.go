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

// dialTimeout limits name resolution and connecting, which move no bytes that Stall could count.
const dialTimeout = 10 * time.Second

// expectFrom is the size from which a body is sent only after the server's consent. Otherwise one that refuses a header or the space, and
// closes the connection meanwhile, could be taken for a broken connection. Amazon's own clients do the same from this size on.
const expectFrom = 2 << 20

// transport watches the progress of each request and records how far the server's clock differs from ours.
type transport struct {
	base   *http.Transport
	bucket string // whose answers are expected
	stall  time.Duration
	skew   atomic.Pointer[time.Duration] // how far our clock was ahead at the last answer
}

// maxIdle is how many connections wait for the next request: as many as requests that callers make side by side.
const maxIdle = 32

func newTransport(bucket string, t *tls.Config, timeout, stall time.Duration) *transport {
	dialer := &net.Dialer{Timeout: min(dialTimeout, timeout), KeepAlive: 15 * time.Second}
	return &transport{bucket: bucket, stall: stall, base: &http.Transport{
		Proxy: proxy(),
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
			return proxyRefusal(res)
		},
		DialContext:           dialer.DialContext,
		TLSClientConfig:       t,
		TLSHandshakeTimeout:   timeout,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       30 * time.Second,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true, // lengths must be those of the object
	}}
}

// proxy reads the environment each time, and keeps a proxy's password out of errors. The metadata service of a cloud is
// link-local, so never behind a proxy.
func proxy() func(*http.Request) (*url.URL, error) {
	choose := httpproxy.FromEnvironment().ProxyFunc()
	return func(r *http.Request) (*url.URL, error) {
		if ip := net.ParseIP(r.URL.Hostname()); ip != nil && ip.IsLinkLocalUnicast() {
			return nil, nil //nolint:nilnil // net/http's way to say no proxy
		}
		u, err := choose(r.URL)
		if err != nil {
			return nil, fmt.Errorf("%w: HTTPS_PROXY or HTTP_PROXY is not a valid URL", ErrConfig)
		}
		return u, nil
	}
}

// proxyRefusal is for https through a proxy. net/http would only quote the status.
func proxyRefusal(res *http.Response) error {
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return fmt.Errorf("%w: the proxy answers %s", ErrConfig, res.Status)
	}
	return fmt.Errorf("%w: the proxy of HTTPS_PROXY answers %s", ErrHost, res.Status)
}

// clock returns how far our clock was ahead of the server's at its last answer, accurate to about a second.
func (t *transport) clock() (skew time.Duration, known bool) {
	if s := t.skew.Load(); s != nil {
		return *s, true
	}
	return 0, false
}

// RoundTrip aborts the request with ErrTimeout if no byte moves in either direction for a whole Stall. An answer that is not S3's is an
// error.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	w := newWatch(t.stall, cancel)
	watched := req.WithContext(ctx)
	if req.Body != nil {
		watched.Body = &sentBody{req.Body, w}
	}
	if req.ContentLength > expectFrom {
		watched.Header = req.Header.Clone()
		watched.Header.Set("Expect", "100-continue")
	}
	res, err := t.base.RoundTrip(watched)
	w.answered()
	if err != nil {
		cancel()
		return nil, w.explain(err)
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		// The header has whole seconds, truncated.
		skew := time.Since(date.Add(500 * time.Millisecond))
		t.skew.Store(&skew)
	}
	res.Body = received(req, res, w, cancel)
	if err := checkAnswer(t.bucket, req, res); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	return res, nil
}

// watch cancels a request that makes no progress for too long. It pauses while our own side works: reads the file, waits for the
// rate limit, writes what it received.
type watch struct {
	timeout time.Duration
	fired   atomic.Bool

	mu    sync.Mutex
	timer *time.Timer
	sent  bool // the answer has begun; the rest of the request no longer counts
}

func newWatch(timeout time.Duration, cancel func()) *watch {
	w := &watch{timeout: timeout}
	w.timer = time.AfterFunc(timeout, func() {
		w.fired.Store(true)
		cancel()
	})
	return w
}

// sending pauses and resumes around a read of the request's body.
func (w *watch) sending(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.sent:
	case on:
		w.timer.Reset(w.timeout)
	default:
		w.timer.Stop()
	}
}

func (w *watch) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	w.timer.Stop()
}

func (w *watch) explain(err error) error {
	if err != nil && w.fired.Load() && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: no byte moved for %s", ErrTimeout, w.timeout)
	}
	return err
}

type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (s *sentBody) Read(p []byte) (int, error) {
	s.watch.sending(false)
	defer s.watch.sending(true)
	return s.ReadCloser.Read(p)
}

// receivedBody is an answer, which has no more than left bytes and ends before until. minio-go reads some answers to their end.
type receivedBody struct {
	io.ReadCloser
	watch  *watch
	cancel func()
	left   int64
	until  time.Time // zero: as long as it makes progress
}

// received limits an answer: contents of an object have the length that they announce, and all others are short.
func received(req *http.Request, res *http.Response, w *watch, cancel func()) *receivedBody {
	r := &receivedBody{ReadCloser: res.Body, watch: w, cancel: cancel, left: maxPage + 1, until: time.Now().Add(w.timeout)}
	switch {
	case res.StatusCode >= http.StatusMultipleChoices:
		r.left = maxRefusal
	case req.Method == http.MethodGet && res.ContentLength >= 0:
		r.left, r.until = res.ContentLength, time.Time{}
	case req.Method == http.MethodPost: // Amazon may take minutes to put parts together, and sends blanks meanwhile
		r.until = time.Time{}
	}
	return r
}

func (r *receivedBody) Read(p []byte) (int, error) {
	limit := r.watch.timeout
	if !r.until.IsZero() {
		limit = max(min(limit, time.Until(r.until)), 1)
	}
	r.watch.timer.Reset(limit)
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), max(r.left, 1))])
	r.watch.timer.Stop()
	if int64(n) > r.left {
		return 0, notS3("it is longer than it may be")
	}
	r.left -= int64(n)
	return n, r.watch.explain(err)
}

func (r *receivedBody) Close() error {
	r.watch.timer.Stop()
	err := r.ReadCloser.Close()
	r.cancel()
	return err
}
