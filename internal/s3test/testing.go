package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

// putters is how many objects PutMany stores at a time.
const putters = 16

// startLimit bounds the start of a server for a test.
const startLimit = 2 * time.Minute

// Run starts a MinIO for a test and closes it at the end. If the test fails, it logs the end of MinIO's log.
func Run(t testing.TB, options Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	s, err := Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of minio:\n%s", s.Tail(0))
		}
		if err := s.Close(); err != nil {
			t.Errorf("stop minio: %v", err)
		}
	})
	return s
}

// RunFake starts a [FakeServer] for a test and closes it at the end.
func RunFake(t testing.TB) *FakeServer {
	t.Helper()
	f, err := Fake(t.Context())
	return closeAtEnd(t, f, err)
}

// RunProxy starts a TCP proxy for a test and closes it at the end.
func RunProxy(t testing.TB, upstream Target) *Proxy {
	t.Helper()
	p, err := NewProxy(t.Context(), upstream)
	return closeAtEnd(t, p, err)
}

// RunHTTPFaults starts an HTTP proxy for a test and closes it at the end.
func RunHTTPFaults(t testing.TB, upstream Target) *HTTPFaults {
	t.Helper()
	f, err := NewHTTPFaults(t.Context(), upstream)
	return closeAtEnd(t, f, err)
}

// Dial returns a client of the target, as [Target.Client].
func Dial(t testing.TB, target Target) *minio.Client {
	t.Helper()
	client, err := target.Client()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Bucket makes a bucket with a new name and returns the name. It is not removed, because the server does not outlive the test.
func Bucket(t testing.TB, target Target, options BucketOptions) string {
	t.Helper()
	name := "bucket-" + strings.ToLower(rand.Text()[:8])
	if err := target.MakeBucket(t.Context(), name, options); err != nil {
		t.Fatal(err)
	}
	return name
}

// PutMany stores the same bytes under many keys, several at a time.
func PutMany(t testing.TB, target Target, bucket string, data []byte, keys ...string) {
	t.Helper()
	transport := insecureTransport()
	transport.DisableKeepAlives, transport.MaxIdleConnsPerHost = false, putters
	defer transport.CloseIdleConnections()
	client, err := target.client(transport)
	if err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(putters)
	for _, key := range keys {
		g.Go(func() error {
			_, err := client.PutObject(ctx, bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{DisableContentSha256: true})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func closeAtEnd[T interface{ Close() error }](t testing.TB, server T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}
