package s3test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/proctest"
)

func put(t *testing.T, client *minio.Client, bucket, key, text string) {
	t.Helper()
	if err := tryPut(t, client, bucket, key, []byte(text)); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func tryPut(t *testing.T, client *minio.Client, bucket, key string, data []byte) error {
	t.Helper()
	_, err := client.PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
	return err
}

func tryGet(ctx context.Context, client *minio.Client, bucket, key string) (string, error) {
	object, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", err
	}
	defer object.Close()
	text, err := io.ReadAll(object)
	return string(text), err
}

func wantObject(t *testing.T, client *minio.Client, bucket, key, want string) {
	t.Helper()
	got, err := tryGet(t.Context(), client, bucket, key)
	if err != nil || got != want {
		t.Fatalf("get %s: %d bytes, %v, want %d bytes", key, len(got), err, len(want))
	}
}

func wantCode(t *testing.T, what string, err error, codes ...string) {
	t.Helper()
	for _, code := range codes {
		if err != nil && minio.ToErrorResponse(err).Code == code {
			return
		}
	}
	t.Errorf("%s: %v, want %s", what, err, strings.Join(codes, " or "))
}

func list(t *testing.T, client *minio.Client, bucket, prefix string) (keys []string, err error) {
	t.Helper()
	for object := range client.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

// Whatever ends the process, port, data and users are there after the restart.
func TestRestartKeepsData(t *testing.T) {
	s := Run(t, Options{})
	client := Dial(t, s.Target)
	bucket := Bucket(t, s.Target, BucketOptions{})
	if err := s.AddUser(t.Context(), "reader", "reader-secret", MinimalPolicy(bucket, "")); err != nil {
		t.Fatal(err)
	}
	put(t, client, bucket, "a", "1")
	for name, end := range map[string]func() error{"kill": s.Kill, "stop": s.Stop, "none": func() error { return nil }} {
		before := s.PID()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if name != "none" {
			if _, err := tryGet(t.Context(), client, bucket, "a"); s.PID() != 0 || err == nil {
				t.Errorf("process %d answers after %s", s.PID(), name)
			}
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.PID() == before {
			t.Errorf("the same process after %s and a restart", name)
		}
		wantObject(t, Dial(t, s.As("reader", "reader-secret")), bucket, "a", "1")
	}
}

func TestPauseAndResume(t *testing.T) {
	s := Run(t, Options{})
	bucket := Bucket(t, s.Target, BucketOptions{})
	client := Dial(t, s.Target)
	put(t, client, bucket, "a", "1")
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := tryGet(ctx, client, bucket, "a"); err == nil {
		t.Error("a paused server answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	wantObject(t, client, bucket, "a", "1")
}

func TestCloseRemovesEverything(t *testing.T) {
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid := s.PID()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("directory %s after close: %v", s.Dir, err)
	}
	if s.PID() != 0 || pid == 0 {
		t.Errorf("process %d, after close %d", pid, s.PID())
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := &Certificate{Cert: filepath.Join(full, "none.crt"), Key: filepath.Join(full, "none.key")}
	for want, options := range map[string]Options{
		"directory " + full + " is not empty": {Dir: full},
		"none.":                               {Certificate: missing},
		"invalid secret key format":           {Env: []string{"MINIO_KMS_SECRET_KEY=nonsense"}}, // from MinIO's own log
	} {
		s, err := Start(t.Context(), options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("start with %+v: %v, want %q", options, err, want)
		}
		if s != nil {
			t.Error(s.Close())
		}
	}
	t.Setenv(proctest.BinEnv, t.TempDir())
	if _, err := Start(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "run make tools") {
		t.Errorf("without a program: %v, want a word on make tools", err)
	}
}
