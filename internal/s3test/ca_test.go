package s3test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
)

func TestRestartWithAnotherCA(t *testing.T) {
	s := Run(t, Options{TLS: true})
	bucket := Bucket(t, s.Target, BucketOptions{})
	before := Dial(t, s.Target)
	put(t, before, bucket, "a", "1")

	stranger, err := NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := stranger.Issue()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := s.Endpoint()
	if err := s.RestartWith(t.Context(), certificate); err != nil {
		t.Fatal(err)
	}
	if s.Endpoint() != endpoint || s.CAFile != stranger.File {
		t.Errorf("after the restart %s with %s, want %s with %s", s.Endpoint(), s.CAFile, endpoint, stranger.File)
	}
	_, err = tryGet(t.Context(), before, bucket, "a")
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("with the old CA: %v, want one of an unknown authority", err)
	}
	wantObject(t, Dial(t, s.Target), bucket, "a", "1")

	if err := Run(t, Options{}).RestartWith(t.Context(), certificate); err == nil {
		t.Error("a server without TLS took a certificate")
	}
}

// MinIO serves any certificate; a client must see what is wrong with it.
func TestBadCertificates(t *testing.T) {
	ca, err := NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	good, err := ca.Issue()
	if err != nil {
		t.Fatal(err)
	}
	s := Run(t, Options{Certificate: &good})
	bucket := Bucket(t, s.Target, BucketOptions{})
	put(t, Dial(t, s.Target), bucket, "a", "1")

	expired, err := ca.IssueExpired()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := ca.IssueFor("minio.example.net")
	if err != nil {
		t.Fatal(err)
	}
	var invalid x509.CertificateInvalidError
	var wrongName x509.HostnameError
	for certificate, want := range map[Certificate]any{expired: &invalid, elsewhere: &wrongName} {
		if err := s.RestartWith(t.Context(), certificate); err != nil {
			t.Fatal(err)
		}
		if _, err := tryGet(t.Context(), Dial(t, s.Target), bucket, "a"); !errors.As(err, want) {
			t.Errorf("%v, want %T", err, want)
		}
	}
}

func TestKeysAreForTheOwnerOnly(t *testing.T) {
	ca, err := NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.Issue()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(c.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
}
