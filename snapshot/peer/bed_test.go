package peer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/peer"
)

const name = "rolling_node-a_20261121T220000Z.db.zst"

// patience limits the wait for immediate results, on a busy machine.
const patience = 20 * time.Second

func newPKI(t testing.TB) *etcdtest.Authority {
	t.Helper()
	pki, err := etcdtest.NewAuthority(t.TempDir())
	must(t, err)
	return pki
}

func server(pki *etcdtest.Authority) peer.Identity { return identity(pki, pki.Server) }

func client(pki *etcdtest.Authority) peer.Identity { return identity(pki, pki.Client) }

func identity(pki *etcdtest.Authority, pair etcdtest.KeyPair) peer.Identity {
	return peer.Identity{CACert: pki.CACert, Cert: pair.Cert, Key: pair.Key}
}

// issue signs a certificate of any kind with the authority's key.
func issue(t testing.TB, pki *etcdtest.Authority, change func(*x509.Certificate)) etcdtest.KeyPair {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(pki.CACert, filepath.Join(pki.Dir, "ca.key"))
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "special"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	pair := etcdtest.KeyPair{Cert: filepath.Join(dir, "special.crt"), Key: filepath.Join(dir, "special.key")}
	must(t, os.WriteFile(pair.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(pair.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return pair
}

// noise returns bytes without a repeated run of n.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func offer(b []byte) peer.Offer {
	return peer.Offer{Name: name, Archive: bytes.NewReader(b), Size: int64(len(b))}
}

// bench is a running Serve.
type bench struct {
	addr string
	stop func() // ends ctx and waits for Serve

	mu     sync.Mutex
	events []peer.Event
}

func (b *bench) observe(e peer.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// told waits for an event.
func (b *bench) told(t testing.TB, what string, is func(peer.Event) bool) peer.Event {
	t.Helper()
	var found peer.Event
	eventually(t, what, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, e := range b.events {
			if is(e) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

func serve(t testing.TB, id peer.Identity, o peer.Offer) *bench {
	t.Helper()
	return serveAt(t, listen(t, "127.0.0.1:0"), id, o, time.Minute)
}

func serveAt(t testing.TB, l net.Listener, id peer.Identity, o peer.Offer, stall time.Duration) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &bench{addr: l.Addr().String()}
	ended := make(chan error, 1)
	go func() { ended <- peer.ServeWithin(ctx, l, id, o, b.observe, stall, 200*time.Millisecond) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			must(t, err)
		case <-time.After(patience):
			t.Error("Serve does not end")
		}
	})
	t.Cleanup(b.stop)
	return b
}

// answering is an HTTPS server that is not a Serve.
func answering(t testing.TB, id peer.Identity, handle http.HandlerFunc) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(id.Cert, id.Key)
	must(t, err)
	l := listen(t, "127.0.0.1:0")
	s := &http.Server{Handler: handle, ReadHeaderTimeout: patience, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	}, ErrorLog: quiet()}
	var group sync.WaitGroup
	group.Go(func() { _ = s.ServeTLS(l, "", "") }) // ends with Close
	t.Cleanup(func() {
		_ = s.Close()
		group.Wait()
	})
	return l.Addr().String()
}

func dial(t testing.TB, id peer.Identity, addr string) *peer.Client {
	t.Helper()
	c, err := peer.Dial(id, addr)
	must(t, err)
	return c
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	return l
}

// refused demands a one-line error with the words, and without a key.
func refused(t testing.TB, what string, err error, words ...string) {
	t.Helper()
	t.Logf("%-40s %v", what, err)
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q is not in: %v", what, w, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "PRIVATE KEY-") {
		t.Errorf("%s: more than one line, or a key: %q", what, err)
	}
}

func wraps(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v does not wrap %q", what, err, kind)
	}
}

// eventually repeats the check until the condition holds; it fails the test if that takes too long.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-late:
			t.Fatalf("in vain waited until %s", what)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
