package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// server is a MinIO with TLS and a KMS that all tests share; each has its own buckets.
var server *s3test.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Nothing of the caller's own keys, and no question after a role where there is no cloud.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	home, err := os.MkdirTemp("", "s3-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(home)
	for name, value := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "HOME": home} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if server, err = s3test.Start(context.Background(), s3test.Options{TLS: true, KMS: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	return m.Run()
}

// config is that of a target as its keys' owner would write it.
func config(t testing.TB, target s3test.Target, bucket string) s3.Config {
	t.Helper()
	dir := t.TempDir()
	c := s3.Config{
		Bucket: bucket, Endpoint: target.URL(), Folder: "backups", Region: s3test.Region, CA: target.CAFile,
		AccessKeyFile: write(t, filepath.Join(dir, "access"), target.AccessKey+"\n"),
		SecretKeyFile: write(t, filepath.Join(dir, "secret"), target.SecretKey+"\n"),
		Timeout:       20 * time.Second, Stall: 20 * time.Second,
	}
	if !target.Has.Checksums {
		c.Checksum = s3.ChecksumMD5
	}
	return c
}

func write(t testing.TB, file, text string) string {
	t.Helper()
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func open(t testing.TB, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(c)
	must(t, err)
	b.Hasten()
	t.Cleanup(b.Close)
	return b
}

// bed is a new bucket on the target.
func bed(t testing.TB, target s3test.Target) (*s3.Bucket, s3.Config) {
	t.Helper()
	c := config(t, target, s3test.Bucket(t, target, s3test.BucketOptions{}))
	return open(t, c), c
}

// shared is a new bucket on the shared server behind a proxy that spoils HTTP.
func shared(t testing.TB) (*s3.Bucket, *s3test.HTTPFaults, s3.Config) {
	t.Helper()
	faults := s3test.RunHTTPFaults(t, server.Target)
	b, c := bed(t, faults.Target)
	return b, faults, c
}

// name gives the i-th snapshot of a node, one an hour.
func name(t testing.TB, set, node string, i int) snapshot.Name {
	t.Helper()
	n, err := snapshot.NewName(set, node, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).Add(time.Duration(i)*time.Hour))
	must(t, err)
	return n
}

func rolling(t testing.TB, i int) snapshot.Name { return name(t, snapshot.RollingSet, "node-a", i) }

// noise does not compress and is the same for the same size.
func noise(size int) []byte {
	var seed [32]byte
	copy(seed[:], fmt.Sprint(size))
	p := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(p) // never fails
	return p
}

func put(t testing.TB, b *s3.Bucket, n snapshot.Name, data []byte) {
	t.Helper()
	must(t, b.Put(t.Context(), n, bytes.NewReader(data), int64(len(data)), nil))
}

func tryPut(t testing.TB, b *s3.Bucket, n snapshot.Name, data []byte) error {
	t.Helper()
	return b.Put(t.Context(), n, bytes.NewReader(data), int64(len(data)), nil)
}

func get(t testing.TB, b *s3.Bucket, n snapshot.Name) ([]byte, error) {
	t.Helper()
	r, size, err := b.Get(t.Context(), n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) != size {
		t.Errorf("get %s: %d bytes, %d announced", n, len(data), size)
	}
	return data, err
}

func wantStored(t testing.TB, b *s3.Bucket, n snapshot.Name, data []byte) {
	t.Helper()
	got, err := get(t, b, n)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("get %s: %d other bytes than the %d that were put", n, len(got), len(data))
	}
}

func wantList(t testing.TB, b *s3.Bucket, want ...snapshot.Name) {
	t.Helper()
	entries, err := b.List(t.Context())
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name.String())
	}
	var wanted []string
	for _, n := range want {
		wanted = append(wanted, n.String())
	}
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		t.Errorf("list: %v, not %v", got, wanted)
	}
}

// wantError demands the class and words of an error, and that it is one line without secrets.
func wantError(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error is %v (%s), not %v", err, s3.Class(err), kind)
		return
	}
	for _, w := range append(words, "s3://") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	wantClean(t, err)
}

func wantClean(t testing.TB, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v", err, err)
	for _, secret := range []string{server.SecretKey, server.AccessKey, userSecret, "X-Amz-Signature", "Credential="} {
		if strings.Contains(text, secret) {
			t.Errorf("error holds a secret: %q", err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
