package s3test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Everything of a target works alike on both makes, as far as Has promises.
func TestBothMakes(t *testing.T) {
	for name, target := range map[string]Target{"minio": Run(t, Options{}).Target, "minio with TLS": Run(t, Options{TLS: true}).Target, "fake": RunFake(t).Target} {
		t.Run(name, func(t *testing.T) {
			bucket := Bucket(t, target, BucketOptions{Versioning: true})
			client := Dial(t, target)
			put(t, client, bucket, "dir/a", "1")
			put(t, client, bucket, "dir/a", "2")
			put(t, client, bucket, "b", "")
			wantObject(t, client, bucket, "dir/a", "2")
			if keys, err := list(t, client, bucket, "dir/"); err != nil || fmt.Sprint(keys) != "[dir/a]" {
				t.Errorf("list: %v, %v", keys, err)
			}
			// Several parts: the size is above the 16 MiB of one.
			large := bytes.Repeat([]byte("0123456789abcdef"), 17<<16)
			if err := tryPut(t, client, bucket, "large", large); err != nil {
				t.Error(err)
			}
			wantObject(t, client, bucket, "large", string(large))

			if err := target.RemoveBucket(t.Context(), bucket, false); err == nil {
				t.Error("a full bucket was removed without force")
			}
			if err := target.RemoveBucket(t.Context(), bucket, true); err != nil {
				t.Error(err)
			}
			if err := target.MakeBucket(t.Context(), bucket, BucketOptions{}); err != nil {
				t.Errorf("made again: %v", err)
			}
			if keys, err := list(t, client, bucket, ""); err != nil || len(keys) != 0 {
				t.Errorf("list of the new bucket: %v, %v", keys, err)
			}
		})
	}
}

// Has tells the truth, in both directions: a suite that trusts it must not stand still when a server learns something.
func TestFeatures(t *testing.T) {
	for name, target := range map[string]Target{"minio": Run(t, Options{}).Target, "fake": RunFake(t).Target} {
		t.Run(name, func(t *testing.T) {
			client, bucket := Dial(t, target), Bucket(t, target, BucketOptions{})
			put(t, client, bucket, "a", "1")

			_, err := tryGet(t.Context(), Dial(t, target.As("nobody", "nobody-secret")), bucket, "a")
			if refused := err != nil; refused != target.Has.Credentials {
				t.Errorf("credentials: %v, but the get with wrong ones: %v", target.Has.Credentials, err)
			}
			if got := comparesChecksum(t, client, bucket); got != target.Has.Checksums {
				t.Errorf("checksums: %v, but compared: %v", target.Has.Checksums, got)
			}
			if got := locks(t, target); got != target.Has.ObjectLock {
				t.Errorf("object lock: %v, but kept: %v", target.Has.ObjectLock, got)
			}
		})
	}
}

// comparesChecksum tells whether a server refuses a wrong checksum. All give back a right one.
func comparesChecksum(t *testing.T, client *minio.Client, bucket string) bool {
	t.Helper()
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(s[:])
	}
	send := func(key, checksum string) error {
		_, err := client.PutObject(t.Context(), bucket, key, bytes.NewReader([]byte("1")), 1, minio.PutObjectOptions{
			UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": checksum}, DisableContentSha256: true, DisableMultipart: true,
		})
		return err
	}
	if err := send("right", sum("1")); err != nil {
		t.Fatal(err)
	}
	refused := send("wrong", sum("2")) != nil
	info, err := client.StatObject(t.Context(), bucket, "right", minio.StatObjectOptions{Checksum: true})
	if err != nil {
		t.Fatal(err)
	}
	if info.ChecksumSHA256 != sum("1") {
		t.Errorf("the server tells the checksum %q, want %q", info.ChecksumSHA256, sum("1"))
	}
	return refused
}

// locks tells whether a locked version survives its removal.
func locks(t *testing.T, target Target) bool {
	t.Helper()
	client, bucket := Dial(t, target), Bucket(t, target, BucketOptions{ObjectLock: true})
	until := time.Now().Add(time.Hour)
	info, err := client.PutObject(t.Context(), bucket, "a", bytes.NewReader([]byte("1")), 1, minio.PutObjectOptions{
		Mode: minio.Governance, RetainUntilDate: until, SendContentMd5: true,
	})
	if err != nil {
		return false
	}
	err = client.RemoveObject(t.Context(), bucket, "a", minio.RemoveObjectOptions{VersionID: info.VersionID})
	if err := target.RemoveBucket(t.Context(), bucket, true); err != nil {
		t.Errorf("force, with governance: %v", err)
	}
	return err != nil
}

func TestServerSideEncryption(t *testing.T) {
	s := Run(t, Options{KMS: true})
	client, bucket := Dial(t, s.Target), Bucket(t, s.Target, BucketOptions{})
	kms, err := encrypt.NewSSEKMS(KMSKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, sse := range map[string]encrypt.ServerSide{"s3": encrypt.NewSSE(), "kms": kms} {
		_, err := client.PutObject(t.Context(), bucket, key, bytes.NewReader([]byte("1")), 1, minio.PutObjectOptions{ServerSideEncryption: sse})
		if err != nil {
			t.Errorf("put with %s: %v", key, err)
		}
		wantObject(t, client, bucket, key, "1")
	}
}

func TestQuota(t *testing.T) {
	s := Run(t, Options{})
	client, bucket := Dial(t, s.Target), Bucket(t, s.Target, BucketOptions{})
	if err := s.SetQuota(t.Context(), bucket, 1); err != nil {
		t.Fatal(err)
	}
	// MinIO refuses before it has read the body; whether the client gets to read that, or a broken pipe first, is chance.
	err := tryPut(t, client, bucket, "a", []byte("1"))
	for try := 0; errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET); try++ {
		if try == 20 {
			t.Fatalf("put in a full bucket: %v, %d times", err, try)
		}
		err = tryPut(t, client, bucket, "a", []byte("1"))
	}
	wantCode(t, "put in a full bucket", err, "XMinioAdminBucketQuotaExceeded")
	if err := s.SetQuota(t.Context(), bucket, 0); err != nil {
		t.Fatal(err)
	}
	put(t, client, bucket, "a", "1")
	if err := s.SetQuota(t.Context(), "no-such-bucket", 1); err == nil {
		t.Error("a quota for no bucket")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.SetQuota(ended, bucket, 1); err == nil {
		t.Error("the end of the context was not seen")
	}
}
