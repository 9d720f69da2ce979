package rketest

import (
	"crypto/rand"
	"crypto/rsa"
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
	"strings"
	"time"
)

// Authority is RKE's kube-ca: RSA keys in PKCS #1, as RKE makes them. No certificate is valid for more than a day.
type Authority struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// NewAuthority makes one with RKE's name. A second one is a stranger's, which has the same name.
func NewAuthority() (*Authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make kube-ca: %w", err)
	}
	a := &Authority{key: key, cert: template("kube-ca")}
	a.cert.KeyUsage |= x509.KeyUsageCertSign
	a.cert.IsCA, a.cert.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make kube-ca: %w", err)
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

// Install writes what /etc/kubernetes/ssl of an etcd node holds. kube-node is for clients only and names no host; kube-etcd-IP is etcd's.
func (a *Authority) Install(dir, ip string) error {
	node := template("system:node")
	node.Subject.Organization = []string{"system:nodes"}
	node.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	etcd := template("kube-etcd")
	etcd.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	etcd.IPAddresses = []net.IP{net.ParseIP(ip)}
	etcd.DNSNames = []string{"localhost", "kubernetes"}
	return errors.Join(
		os.MkdirAll(dir, 0o700),
		writePEM(filepath.Join(dir, "kube-ca.pem"), "CERTIFICATE", a.cert.Raw),
		a.issue(node, filepath.Join(dir, "kube-node")),
		a.issue(etcd, filepath.Join(dir, etcdName(ip))),
	)
}

// etcdName is the name of the files of etcd's certificate on a node.
func etcdName(ip string) string { return "kube-etcd-" + strings.ReplaceAll(ip, ".", "-") }

// client is the configuration of a client of a node's etcd, with the files in the directory that Install has filled.
func client(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "kube-node.pem"), filepath.Join(dir, "kube-node-key.pem"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "kube-ca.pem"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}}, err
}

func template(commonName string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    time.Now().Add(-time.Hour), // also valid on a machine whose clock is a little slow
		NotAfter:     time.Now().Add(23 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
}

// issue signs the template and writes name.pem and name-key.pem.
func (a *Authority) issue(template *x509.Certificate, name string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign %s: %w", name, err)
	}
	return errors.Join(
		writePEM(name+".pem", "CERTIFICATE", der),
		writePEM(name+"-key.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
	)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
