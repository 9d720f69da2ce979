package s3_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

// BenchmarkPut sets Put beside what most programs use, FPutObject of minio-go with its defaults, on the same file and server.
func BenchmarkPut(b *testing.B) {
	const size = 256 << 20
	file := filepath.Join(b.TempDir(), "archive")
	must(b, os.WriteFile(file, noise(size), 0o600))
	for name, options := range map[string]s3test.Options{"http": {}, "https": {TLS: true}} {
		target := s3test.Run(b, options).Target
		bucket, c := bed(b, target)
		client := defaultClient(b, target)
		md5 := c
		md5.Checksum = s3.ChecksumMD5
		for _, way := range []struct {
			name string
			put  func() error
		}{
			{"FPutObject", func() error {
				_, err := client.FPutObject(b.Context(), c.Bucket, "plain", file, minio.PutObjectOptions{})
				return err
			}},
			{"Put", func() error { return putFile(b, bucket, file) }},
			{"Put with md5", func() error { return putFile(b, open(b, md5), file) }},
		} {
			b.Run(fmt.Sprintf("%s/%s", name, way.name), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					must(b, way.put())
				}
			})
		}
	}
}

func putFile(b *testing.B, bucket *s3.Bucket, file string) error {
	b.Helper()
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return bucket.Put(b.Context(), rolling(b, 0), f, info.Size(), nil)
}

// defaultClient is as minio-go makes it, but for the authority.
func defaultClient(b *testing.B, target s3test.Target) *minio.Client {
	b.Helper()
	secure := target.CAFile != ""
	transport, err := minio.DefaultTransport(secure)
	must(b, err)
	if secure {
		text, err := os.ReadFile(target.CAFile)
		must(b, err)
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(text)
	}
	client, err := minio.New(target.Endpoint(), &minio.Options{
		Creds: credentials.NewStaticV4(target.AccessKey, target.SecretKey, ""), Secure: secure, Transport: transport,
	})
	must(b, err)
	return client
}
