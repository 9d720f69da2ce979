package s3test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
)

// Fault answers a request instead of the server, or changes the request or the response and passes it to next, the server.
// It is called concurrently. To abort the connection it panics with [http.ErrAbortHandler].
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Request is one request that has passed the proxy.
type Request struct {
	Method string
	Host   string // the server in the request, with the bucket in front of it if that is not in the path
	Path   string // /bucket/key, unescaped
	Query  string // as sent, without the question mark
}

// HTTPFaults is a reverse proxy that applies a Fault to each request. The client uses plain HTTP, also if the server uses TLS.
// Signatures stay valid, because the server gets the Host header that the client signed. It also works as HTTP_PROXY, and then sends
// every request to the upstream. If the server is unreachable, the client sees a broken connection. The embedded Target is the
// upstream's, through the proxy.
type HTTPFaults struct {
	Target
	http      *http.Server
	transport *http.Transport

	mu       sync.Mutex
	fault    Fault // nil for none
	requests []Request
}

// NewHTTPFaults starts a proxy without a fault. The context bounds the start only; the proxy runs until Close.
func NewHTTPFaults(ctx context.Context, upstream Target) (*HTTPFaults, error) {
	at, err := url.Parse(upstream.URL())
	if err != nil {
		return nil, fmt.Errorf("start HTTP proxy: %w", err)
	}
	f := &HTTPFaults{Target: upstream, transport: insecureTransport()}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(at)
			r.Out.Host = r.In.Host // it is part of the signature
		},
		Transport:     f.transport,
		FlushInterval: -1, // pass on what the server has sent before a fault aborts the response
		ErrorLog:      discardLog(),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := f.record(r); fault != nil {
			fault(w, r, reverse)
			return
		}
		reverse.ServeHTTP(w, r)
	})
	if f.http, f.endpoint, err = serve(ctx, handler); err != nil {
		return nil, fmt.Errorf("start HTTP proxy of %s: %w", upstream.URL(), err)
	}
	f.secure, f.CAFile = false, ""
	return f, nil
}

// Set replaces the fault for future requests; nil: no fault.
func (f *HTTPFaults) Set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Requests returns the requests since the start, in order.
func (f *HTTPFaults) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// Close stops the proxy and closes its connections.
func (f *HTTPFaults) Close() error { return f.http.Close() }

func (f *HTTPFaults) record(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, Request{Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery})
	return f.fault
}

// discardLog is for servers whose clients disconnect on purpose.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
