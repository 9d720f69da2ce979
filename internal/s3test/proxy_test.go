package s3test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestProxyDownAndUp(t *testing.T) {
	s := Run(t, Options{TLS: true})
	p := RunProxy(t, s.Target)
	bucket := Bucket(t, p.Target, BucketOptions{})
	client := Dial(t, p.Target)
	put(t, client, bucket, "a", "1")
	endpoint := p.Endpoint()
	for range 3 {
		if err := p.Down(); err != nil {
			t.Fatal(err)
		}
		if _, err := tryGet(t.Context(), client, bucket, "a"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("while down: %v, want a refused connection", err)
		}
		if err := errors.Join(p.Up(), p.Up()); err != nil {
			t.Fatal(err)
		}
		wantObject(t, client, bucket, "a", "1")
	}
	if p.Endpoint() != endpoint || endpoint == s.Endpoint() {
		t.Errorf("endpoint %s, before %s, of the server %s", p.Endpoint(), endpoint, s.Endpoint())
	}
}

func TestProxyReset(t *testing.T) {
	s := Run(t, Options{})
	p := RunProxy(t, s.Target)
	bucket := Bucket(t, s.Target, BucketOptions{})
	client := Dial(t, p.Target)
	data := bytes.Repeat([]byte("x"), 1<<20)
	if err := p.ResetAfter(10); err != nil {
		t.Fatal(err)
	}
	// A client that is busy writing gets to see a reset in many forms, one that reads in one only.
	conn := dial(t, p.Endpoint())
	ask(t, conn)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("connection that sent enough: %v, want a reset", err)
	}
	for _, n := range []int64{0, 1, 1000, 70_000, 500_000} {
		if err := p.ResetAfter(n); err != nil {
			t.Fatal(err)
		}
		if err := tryPut(t, client, bucket, "a", data); err == nil {
			t.Errorf("upload, reset after %d bytes: %v", n, err)
		}
	}
	if keys, err := list(t, Dial(t, s.Target), bucket, ""); err != nil || len(keys) != 0 {
		t.Errorf("in the bucket: %v, %v", keys, err)
	}
	if err := p.Clear(); err != nil {
		t.Fatal(err)
	}
	put(t, client, bucket, "a", string(data))
	for _, n := range []int64{0, 1, 1000, 500_000} {
		if err := p.ResetAnswerAfter(n); err != nil {
			t.Fatal(err)
		}
		if text, err := tryGet(t.Context(), client, bucket, "a"); err == nil || int64(len(text)) > n {
			t.Errorf("download, reset after %d bytes: %d bytes, %v", n, len(text), err)
		}
	}
	if err := p.Clear(); err != nil {
		t.Fatal(err)
	}
	wantObject(t, client, bucket, "a", string(data))
}

func TestProxyLatency(t *testing.T) {
	s := Run(t, Options{})
	p := RunProxy(t, s.Target)
	client := Dial(t, p.Target)
	if err := p.Latency(200 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := client.ListBuckets(t.Context()); err != nil || time.Since(start) < 200*time.Millisecond {
		t.Errorf("answer after %v: %v", time.Since(start), err)
	}
}

// A connection that lives when the hole opens is cut; a new one is silent and does not end.
func TestProxyBlackhole(t *testing.T) {
	s := Run(t, Options{})
	p := RunProxy(t, s.Target)
	old := dial(t, p.Endpoint())
	ask(t, old)
	if _, err := old.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Blackhole(); err != nil {
		t.Fatal(err)
	}
	drain(old) // what was on its way
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("the old connection lives")
	}
	conn := dial(t, p.Endpoint())
	ask(t, conn)
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("new connection: %v, want silence", err)
	}
	client := Dial(t, p.Target)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.ListBuckets(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a client: %v", err)
	}
	if err := p.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ListBuckets(t.Context()); err != nil {
		t.Errorf("after clear: %v", err)
	}
}

func dial(t *testing.T, endpoint string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Write([]byte("GET /minio/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
}

func drain(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	for {
		if _, err := conn.Read(make([]byte, 1<<10)); err != nil {
			return
		}
	}
}
