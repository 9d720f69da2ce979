package e2e_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
)

// What the server is asked to encrypt it does, and gives back as it was.
func TestMirroredObjectsAreEncrypted(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, secureServer.get(t))
	for _, x := range []struct{ sse, mode, key string }{
		{"", "", ""}, {"s3", "AES256", ""}, {"kms", "aws:kms", s3test.KMSKey}, {"kms:" + s3test.KMSKey, "aws:kms", s3test.KMSKey},
	} {
		t.Run("mode "+x.sse, func(t *testing.T) {
			b, dir := bed.bucket(t), newStore(t)
			mirror := append(b.flags(bed.server.Target), "--s3-sse="+x.sse)
			run(t, 0, []string{"mirrored to"}, words("save", flags(bed.etcd, bed.etcd.Endpoints()[0]), store(dir), mirror)...)
			archive, err := os.ReadFile(only(t, dir))
			must(t, err)
			key := filepath.Base(only(t, dir))
			info, err := b.client.StatObject(context.Background(), b.name, key, minio.StatObjectOptions{})
			must(t, err)
			mode, id := info.Metadata.Get("X-Amz-Server-Side-Encryption"), info.Metadata.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
			if mode != x.mode || !strings.HasSuffix(id, x.key) || x.key == "" && id != "" {
				t.Errorf("encrypted as %q with the key %q, want %q with %q", mode, id, x.mode, x.key)
			}
			if clear := x.sse == ""; holds(t, filepath.Join(bed.server.Dir, "data", b.name), archive[100:300]) != clear {
				t.Errorf("the archive lies on the server's disk in the clear: %v, want %v", !clear, clear)
			}
			run(t, 0, []string{"is intact"}, words("verify", mirror, []string{"--from=s3", "--dir=" + dir, "--min-free=0"})...)
			elsewhere := newStore(t)
			run(t, 0, []string{"verified"}, words("download", mirror, []string{"--dir=" + elsewhere, "--min-free=0"})...)
			got, err := os.ReadFile(only(t, elsewhere))
			must(t, err)
			if !bytes.Equal(got, archive) {
				t.Error("other bytes came back")
			}
		})
	}
}

// holds tells whether the bytes stand in a file below the directory.
func holds(t *testing.T, dir string, piece []byte) bool {
	t.Helper()
	found := false
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found = found || bytes.Contains(text, piece)
		return err
	}))
	return found
}

// A server that can't encrypt is told as that, and the snapshot is safe here.
func TestEncryptionWithoutKMSIsReported(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	for _, sse := range []string{"s3", "kms", "kms:" + s3test.KMSKey} {
		b, dir := bed.bucket(t), newStore(t)
		args := words("save", flags(bed.etcd, bed.etcd.Endpoints()[0]), store(dir), b.flags(bed.server.Target), []string{"--s3-sse=" + sse})
		run(t, 1, []string{"saved", "safe here but not in the bucket", "--s3-sse requires a KMS"}, args...)
		wantWhole(t, dir, 1)
		b.has()
	}
}
