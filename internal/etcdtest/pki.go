package etcdtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// backdate makes a certificate valid also on a machine whose clock is a little slow.
const backdate = time.Hour

// KeyPair names two PEM files, the key with mode 0600.
type KeyPair struct {
	Cert string // path of the certificate
	Key  string // path of its private key, PKCS #8
}

// Authority is a certificate authority with the certificates of one cluster, in files below one directory.
// Every key is a new ECDSA P-256 key; no certificate is valid for more than a day.
type Authority struct {
	Dir    string
	CACert string  // path of the authority's own certificate, PEM
	Server KeyPair // for 127.0.0.1, ::1 and localhost, as server and client, because etcd's gateway is a client of itself
	Peer   KeyPair // likewise
	Client KeyPair // for clients only, common name "client"

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority and its certificates in dir, which it creates. A second one in another directory is a foreign CA,
// whose client certificates the cluster must refuse. Its name is the directory's last part: a client does not send certificates of
// CAs whose names the server does not know.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	a := &Authority{Dir: dir}
	now := time.Now()
	ca := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "etcdtest CA " + filepath.Base(dir)},
		NotBefore:             now.Add(-2 * backdate), // before all certificates that it signs, including expired ones
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	pair, err := a.issue("ca", ca)
	if err != nil {
		return nil, err
	}
	a.CACert = pair.Cert
	if a.Server, err = a.issue("server", a.serverTemplate("server")); err != nil {
		return nil, err
	}
	if a.Peer, err = a.issue("peer", a.serverTemplate("peer")); err != nil {
		return nil, err
	}
	a.Client, err = a.IssueClient("client", now.Add(-backdate), now.Add(24*time.Hour))
	return a, err
}

// IssueClient makes one more client certificate, in files <commonName>.crt and <commonName>.key of Dir, replacing those of an
// earlier call. With an end in the past, less than an hour ago, it is expired.
func (a *Authority) IssueClient(commonName string, from, until time.Time) (KeyPair, error) {
	return a.issue(commonName, &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		NotBefore:   from,
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// RenewServer replaces the servers' certificate in its files, which etcd reads at each handshake.
func (a *Authority) RenewServer() (err error) {
	a.Server, err = a.issue("server", a.serverTemplate("server"))
	return err
}

// IssueExpired makes a client certificate that expired a minute ago.
func (a *Authority) IssueExpired() (KeyPair, error) {
	now := time.Now()
	return a.IssueClient("expired", now.Add(-backdate), now.Add(-time.Minute))
}

// TLSConfig returns the configuration of a client that trusts this authority and uses the certificate Client.
func (a *Authority) TLSConfig() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(a.Client.Cert, a.Client.Key)
	if err != nil {
		return nil, fmt.Errorf("load client certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}

func (a *Authority) serverTemplate(commonName string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// issue signs the template with the authority's key and writes both files. The first call, for the authority itself, makes that key
// and signs with it.
func (a *Authority) issue(name string, template *x509.Certificate) (KeyPair, error) {
	pair := KeyPair{Cert: filepath.Join(a.Dir, name+".crt"), Key: filepath.Join(a.Dir, name+".key")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, fmt.Errorf("make key of %s: %w", name, err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
		return pair, fmt.Errorf("number certificate of %s: %w", name, err)
	}
	if a.cert == nil {
		a.cert, a.key = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return pair, fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	if template == a.cert {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			return pair, fmt.Errorf("parse certificate of %s: %w", name, err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair, fmt.Errorf("encode key of %s: %w", name, err)
	}
	return pair, errors.Join(writePEM(pair.Cert, "CERTIFICATE", der), writePEM(pair.Key, "PRIVATE KEY", private))
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// serverFlags are etcd's flags for mutual TLS with clients and peers.
func (a *Authority) serverFlags() []string {
	return []string{
		"--client-cert-auth", "--trusted-ca-file=" + a.CACert, "--cert-file=" + a.Server.Cert, "--key-file=" + a.Server.Key,
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + a.CACert, "--peer-cert-file=" + a.Peer.Cert, "--peer-key-file=" + a.Peer.Key,
	}
}
