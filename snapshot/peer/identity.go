package peer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/snapshot/keyfile"
)

// Identity is what a member presents and trusts: PEM files, etcd's own.
type Identity struct {
	CACert, Cert, Key string

	// Nameless is for certificates like RKE's kube-node.pem, which contains no host name and is for clients only: on both sides, a
	// certificate of the CA is enough, whatever its names and its extended key usage are.
	Nameless bool
}

// loaded is an Identity after reading its files.
type loaded struct {
	id    Identity
	pair  tls.Certificate
	roots *x509.CertPool
}

func (id Identity) load() (loaded, error) {
	l := loaded{id: id, roots: x509.NewCertPool()}
	if id.CACert == "" || id.Cert == "" || id.Key == "" {
		return l, fmt.Errorf("%w: --cacert, --cert and --key are all required: both sides present a certificate", ErrConfig)
	}
	ca, err := keyfile.PEM(id.CACert)
	if err != nil {
		return l, fmt.Errorf("read --cacert: %w%s", err, fileHint(err))
	}
	if !l.roots.AppendCertsFromPEM(ca) {
		return l, fmt.Errorf("read --cacert: %s holds no PEM certificate", id.CACert)
	}
	if l.pair, err = keyfile.Pair(id.Cert, id.Key); err != nil {
		return l, fmt.Errorf("read --cert %s and --key %s: %w%s", id.Cert, id.Key, err, fileHint(err))
	}
	if l.pair.Leaf == nil { // as with GODEBUG=x509keypairleaf=0
		l.pair.Leaf, err = x509.ParseCertificate(l.pair.Certificate[0])
	}
	return l, err
}

// fileHint says what to check if a file cannot be used.
func fileHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return " (this user may not read it: etcd's keys belong to root)"
	case strings.Contains(err.Error(), "does not match"):
		return " (the key belongs to another certificate)"
	}
	return ""
}

// usable checks that --cert may be used as a server or client. Only the other side can say whether it trusts the CA.
func (l loaded) usable(usage x509.ExtKeyUsage) error {
	leaf, now := l.pair.Leaf, time.Now()
	anyUse := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w: --cert %s expired on %s: renew it", ErrCertificate, l.id.Cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%w: --cert %s is not valid before %s: correct the clock", ErrCertificate, l.id.Cert, leaf.NotBefore.UTC().Format(time.RFC3339))
	case anyUse || l.id.Nameless || slices.Contains(leaf.ExtKeyUsage, usage):
		return nil
	case usage == x509.ExtKeyUsageServerAuth:
		return fmt.Errorf("%w: --cert %s is for clients only, like kubeadm's healthcheck-client.crt: "+
			"use the member's own, such as /etc/kubernetes/pki/etcd/server.crt", ErrCertificate, l.id.Cert)
	}
	return fmt.Errorf("%w: --cert %s is not a client certificate: use one with the extended key usage \"TLS Web Client Authentication\"",
		ErrCertificate, l.id.Cert)
}

// ofCA checks that the CA in --cacert signed --cert, as the peers require.
func (l loaded) ofCA() error {
	chain := []*x509.Certificate{l.pair.Leaf}
	for _, der := range l.pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	if err := l.signed(chain); err != nil {
		return fmt.Errorf("%w: --cert %s was not signed by the CA in --cacert %s: %w", ErrCertificate, l.id.Cert, l.id.CACert, err)
	}
	return nil
}

// signed checks that the CA signed the first certificate of a chain, for whatever use and name.
func (l loaded) signed(chain []*x509.Certificate) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: l.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// verifyNameless is the whole check of the other side's certificate with Identity.Nameless. crypto/tls has checked that the other side has
// its key, but nothing else.
func (l loaded) verifyNameless(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 { // crypto/tls demands one; without it nothing here may be trusted
		return fmt.Errorf("%w: the other side presents none", ErrCertificate)
	}
	if err := l.signed(s.PeerCertificates); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// serverConfig requires a certificate of the CA from every client.
func (l loaded) serverConfig() *tls.Config {
	c := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		Certificates:           []tls.Certificate{l.pair},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              l.roots,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // each connection presents its certificate
	}
	if l.id.Nameless {
		c.ClientAuth, c.VerifyConnection = tls.RequireAnyClientCert, l.verifyNameless
	}
	return c
}

func (l loaded) clientConfig(host string) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    l.roots,
		ServerName: host,
		// Always sent, whatever CAs the server lists: a refusal is more precise than a missing certificate.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &l.pair, nil },
	}
	if l.id.Nameless {
		c.InsecureSkipVerify = true // only of the name and the key usage: verifyNameless checks the rest
		c.VerifyConnection = l.verifyNameless
	}
	return c
}

// namesOf lists the names that a server's certificate is valid for.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, net.IP.String(ip))
	}
	return strings.Join(names, ", ")
}
