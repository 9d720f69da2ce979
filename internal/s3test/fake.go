package s3test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// headerLimit bounds how long a server in this process waits for the header of a request; bodies may take any time.
const headerLimit = 10 * time.Second

// FakeServer is gofakes3 in this process, with everything in memory: a second implementation of the S3 protocol, for the tests that
// must pass on both.
//
// It lacks many features, see Target.Has: it accepts any keys, has no object lock, no storage class and no encryption. It verifies
// Content-MD5 but not x-amz-checksum-*: for an object put in one request it returns the value that the client sent, and it ignores
// the trailer of a stream. Multipart objects have no checksum.
type FakeServer struct {
	Target
	http    *http.Server
	backend gofakes3.Backend
}

// AddBucket makes a bucket of any name, also one that clients do not let through, such as Ceph's TENANT:BUCKET.
func (f *FakeServer) AddBucket(name string) error { return f.backend.CreateBucket(name) }

// Fake starts a server without TLS. The context bounds the start only; the server runs until Close.
func Fake(ctx context.Context) (*FakeServer, error) {
	backend := s3mem.New()
	handler := unframe(gofakes3.New(backend).Server())
	server, endpoint, err := serve(ctx, handler)
	if err != nil {
		return nil, fmt.Errorf("start fake S3: %w", err)
	}
	return &FakeServer{
		Target:  Target{AccessKey: "fake-access", SecretKey: "fake-secret", endpoint: endpoint},
		http:    server,
		backend: backend,
	}, nil
}

// unframe decodes the chunks in which S3 clients sign or checksum a stream. Without it gofakes3 would store the framing of a
// multipart upload as content. The chunks are HTTP chunks with the signature as an extension, which is not verified:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html.
func unframe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
			size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
			if err != nil {
				refuse(w, r, http.StatusLengthRequired, "MissingContentLength")
				return
			}
			r.Body = struct {
				io.Reader
				io.Closer
			}{httputil.NewChunkedReader(r.Body), r.Body}
			r.ContentLength = size
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		}
		if r.ContentLength >= 0 { // gofakes3 reads the header, which net/http does not set
			r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		}
		next.ServeHTTP(w, r)
	})
}

// Close closes all connections and drops all objects.
func (f *FakeServer) Close() error { return f.http.Close() }

// serve starts an HTTP server on a free port of 127.0.0.1 and returns its address.
func serve(ctx context.Context, handler http.Handler) (server *http.Server, endpoint string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	server = &http.Server{Handler: handler, ReadHeaderTimeout: headerLimit, ErrorLog: discardLog()}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			_ = listener.Close() // clients see a refused connection
		}
	}()
	return server, listener.Addr().String(), nil
}
