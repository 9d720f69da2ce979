package s3test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// spoiled returns a proxy in front of a server with TLS, a client of it, and a bucket with the object "a" of 1 MiB.
func spoiled(t *testing.T) (f *HTTPFaults, client *minio.Client, bucket, text string) {
	t.Helper()
	s := Run(t, Options{TLS: true})
	f = RunHTTPFaults(t, s.Target)
	text = string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	bucket = Bucket(t, f.Target, BucketOptions{})
	client = Dial(t, f.Target)
	put(t, client, bucket, "a", text)
	wantObject(t, client, bucket, "a", text)
	return f, client, bucket, text
}

func TestHTTPRefusals(t *testing.T) {
	f, client, bucket, text := spoiled(t)

	f.Set(First(2, SlowDown()))
	for range 2 {
		wantCode(t, "put", tryPut(t, client, bucket, "b", []byte(text)), "SlowDown")
	}
	put(t, client, bucket, "b", text)

	f.Set(When(Method(http.MethodDelete), Refuse(http.StatusForbidden, "AccessDenied")))
	wantCode(t, "delete", client.RemoveObject(t.Context(), bucket, "b", minio.RemoveObjectOptions{}), "AccessDenied")
	put(t, client, bucket, "c", text)

	f.Set(nil)
	if err := client.RemoveObject(t.Context(), bucket, "b", minio.RemoveObjectOptions{}); err != nil {
		t.Error(err)
	}
	requests := f.Requests()
	want := Request{Method: http.MethodDelete, Host: f.Endpoint(), Path: "/" + bucket + "/b"}
	if last := requests[len(requests)-1]; last != want {
		t.Errorf("last request %+v, want %+v", last, want)
	}
}

func TestHTTPSkew(t *testing.T) {
	f, client, bucket, _ := spoiled(t)
	for d, refused := range map[time.Duration]bool{20 * time.Minute: true, -20 * time.Minute: true, 10 * time.Minute: false, 0: false} {
		f.Set(Skew(d))
		_, err := client.StatObject(t.Context(), bucket, "a", minio.StatObjectOptions{})
		if (err != nil) != refused {
			t.Errorf("clock off by %v: %v", d, err)
		}
		if refused {
			_, err := list(t, client, bucket, "")
			wantCode(t, "list", err, "RequestTimeTooSkewed")
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := insecureTransport().RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		date, err := http.ParseTime(response.Header.Get("Date"))
		if off := time.Until(date) - d; err != nil || off.Abs() > 5*time.Second {
			t.Errorf("clock off by %v: the Date says %v, %v", d, date, err)
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	f, client, bucket, text := spoiled(t)
	for _, n := range []int64{0, 1, int64(len(text)) - 1} {
		f.Set(When(Download, Truncate(n)))
		if got, err := tryGet(t.Context(), client, bucket, "a"); !errors.Is(err, io.ErrUnexpectedEOF) || got != text[:n] {
			t.Errorf("cut after %d bytes: %d bytes, %v", n, len(got), err)
		}
		f.Set(When(Download, Stall(n)))
		if got, err := getStalled(t, client, bucket, n); !errors.Is(err, context.Canceled) || got != text[:n] {
			t.Errorf("stalled after %d bytes: %d bytes, %v", n, len(got), err)
		}
		f.Set(When(Download, Flip(n)))
		got, err := tryGet(t.Context(), client, bucket, "a")
		want := []byte(text)
		want[n] ^= 1
		if err != nil || got != string(want) {
			t.Errorf("bit %d flipped: %d bytes, %v, equal to the original: %v", n, len(got), err, got == text)
		}
		// A list is no download.
		if keys, err := list(t, client, bucket, ""); err != nil || len(keys) != 1 {
			t.Errorf("list: %v, %v", keys, err)
		}
	}
	f.Set(Truncate(int64(len(text))))
	wantObject(t, client, bucket, "a", text)
}

// getStalled reads the first n bytes of the object "a", and goes on for a while.
func getStalled(t *testing.T, client *minio.Client, bucket string, n int64) (got string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	object, err := client.GetObject(ctx, bucket, "a", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	begin := make([]byte, n)
	if _, err := io.ReadFull(object, begin); err != nil {
		return "", err
	}
	time.AfterFunc(200*time.Millisecond, cancel)
	rest, err := io.ReadAll(object)
	return string(begin) + string(rest), err
}

func TestHTTPServerGone(t *testing.T) {
	s := Run(t, Options{})
	f := RunHTTPFaults(t, s.Target)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t, f.Target).ListBuckets(t.Context()); err == nil || !strings.Contains(err.Error(), "Connection closed") {
		t.Errorf("without a server: %v, want minio-go's words for EOF", err)
	}
}
