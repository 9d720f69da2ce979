package s3test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// backdate makes a certificate valid also on a machine whose clock is a little slow.
const backdate = time.Hour

// Certificate names the PEM files of a server's certificate.
type Certificate struct {
	Cert string // path of the certificate
	Key  string // path of its private key, mode 0600
	CA   string // path of the certificate of the authority that signed it
}

// CA is a certificate authority, with its files in one directory. Every key is a new ECDSA P-256 key; no certificate is valid for
// more than a day. It must not be used by several goroutines.
type CA struct {
	File string // path of the authority's certificate, PEM

	dir    string
	issued int
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// NewCA makes an authority in dir, which it creates. A second one in another directory is a foreign CA, whose certificates clients
// of the first must refuse.
func NewCA(dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	now := time.Now()
	a := &CA{File: filepath.Join(dir, "ca.crt"), dir: dir}
	template := &x509.Certificate{
		// Two authorities have the same name, as in a careless installation, and differ in the serial number only.
		Subject:               pkix.Name{CommonName: "s3test CA"},
		NotBefore:             now.Add(-2 * backdate), // before all that it signs
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	return a, a.sign(template, a.File, filepath.Join(dir, "ca.key"))
}

// Issue makes a certificate for 127.0.0.1, ::1 and localhost.
func (a *CA) Issue() (Certificate, error) {
	return a.issue(&x509.Certificate{
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	})
}

// IssueFor makes a certificate for one host name only, which is not that of the servers in this package.
func (a *CA) IssueFor(host string) (Certificate, error) {
	return a.issue(&x509.Certificate{DNSNames: []string{host}})
}

// IssueExpired makes a certificate like that of Issue that expired a minute ago.
func (a *CA) IssueExpired() (Certificate, error) {
	return a.issue(&x509.Certificate{
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotAfter:    time.Now().Add(-time.Minute),
	})
}

func (a *CA) issue(template *x509.Certificate) (Certificate, error) {
	a.issued++
	name := filepath.Join(a.dir, "server"+strconv.Itoa(a.issued))
	template.Subject = pkix.Name{CommonName: "s3test server"}
	template.NotBefore = time.Now().Add(-backdate)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c := Certificate{Cert: name + ".crt", Key: name + ".key", CA: a.File}
	return c, a.sign(template, c.Cert, c.Key)
}

// sign signs the template with the authority's key and writes both files. The first call, for the authority itself, makes that key
// and signs with it.
func (a *CA) sign(template *x509.Certificate, certPath, keyPath string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make %s: %w", keyPath, err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
		return fmt.Errorf("number %s: %w", certPath, err)
	}
	if a.cert == nil {
		a.cert, a.key = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign %s: %w", certPath, err)
	}
	if template == a.cert {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("parse %s: %w", certPath, err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode %s: %w", keyPath, err)
	}
	return errors.Join(writePEM(certPath, "CERTIFICATE", der), writePEM(keyPath, "PRIVATE KEY", private))
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
