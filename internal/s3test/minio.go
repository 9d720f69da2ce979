package s3test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/proctest"
)

// KMSKey is the name of the key with which a server started with Options.KMS encrypts objects, for SSE-S3 and SSE-KMS.
const KMSKey = "s3test-key"

// Program returns the path of the minio that `make tools` built: `.cache/bin/minio` of the repository, or `minio` in
// $ETCD_BACKUP_TEST_BIN. A missing program is an error, so that no test passes by not running.
func Program() (string, error) {
	path, err := proctest.Program("minio")
	if err != nil {
		return "", fmt.Errorf("find minio: %w", err)
	}
	return path, nil
}

// environ is the environment of the server: its keys, no console, no check for updates, and no settings of the caller's own MinIO.
func environ(root Target, o Options) []string {
	env := append(
		proctest.Environ("MINIO_", "_MINIO_"),
		"MINIO_ROOT_USER="+root.AccessKey,
		"MINIO_ROOT_PASSWORD="+root.SecretKey,
		"MINIO_BROWSER=off",
		"MINIO_UPDATE=off",
	)
	if o.KMS {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		env = append(env, "MINIO_KMS_SECRET_KEY="+KMSKey+":"+base64.StdEncoding.EncodeToString(key))
	}
	return append(env, o.Env...)
}

// ready lists the buckets. MinIO's own /minio/health/ready succeeds before the users are loaded.
func (s *Server) ready(ctx context.Context) error {
	client, err := s.client(insecureTransport())
	if err != nil {
		return err
	}
	if _, err = client.ListBuckets(ctx); err != nil {
		return err
	}
	// The root user is known from the start. Others are known once a stranger is refused as one.
	stranger, err := s.As("stranger", "stranger-secret").client(insecureTransport())
	if err != nil {
		return err
	}
	if _, err = stranger.ListBuckets(ctx); minio.ToErrorResponse(err).Code != "InvalidAccessKeyId" {
		return fmt.Errorf("its users are not loaded yet: %w", err)
	}
	return nil
}

// RestartWith restarts the server on the same port and data with another certificate, such as one of a foreign CA, and sets CAFile
// to that CA's. It must not be called while another goroutine reads the Target.
func (s *Server) RestartWith(ctx context.Context, certificate Certificate) error {
	if !s.secure {
		return errors.New("restart minio with another certificate: it was started without TLS, to which its clients would stick")
	}
	if err := s.Stop(); err != nil {
		return err
	}
	if err := s.install(certificate); err != nil {
		return err
	}
	return s.Restart(ctx)
}

func (s *Server) certsDir() string { return filepath.Join(s.Dir, "certs") }

// install copies the certificate to the directory and names that MinIO requires.
func (s *Server) install(certificate Certificate) error {
	for name, from := range map[string]string{"public.crt": certificate.Cert, "private.key": certificate.Key} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.certsDir(), name), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("install minio's %s: %w", name, err)
		}
	}
	s.secure, s.CAFile = true, certificate.CA
	return nil
}
