package peer_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// Unusable files are refused with the flag and the file, before anything is sent or served.
func TestIdentities(t *testing.T) {
	pki, stranger := newPKI(t), newPKI(t)
	expired, err := pki.IssueExpired()
	must(t, err)
	rubbish := filepath.Join(t.TempDir(), "rubbish")
	must(t, os.WriteFile(rubbish, []byte("open sesame"), 0o600))
	missing := filepath.Join(t.TempDir(), "missing")
	serverOnly := issue(t, pki, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	early := issue(t, pki, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	for what, x := range map[string]struct {
		id    peer.Identity
		both  bool // refused by Dial too
		words []string
	}{
		"nothing":             {peer.Identity{}, true, []string{"--cacert, --cert and --key"}},
		"no key":              {peer.Identity{CACert: pki.CACert, Cert: pki.Server.Cert}, true, []string{"all required"}},
		"missing CA":          {peer.Identity{CACert: missing, Cert: pki.Server.Cert, Key: pki.Server.Key}, true, []string{"--cacert", missing}},
		"CA that is none":     {peer.Identity{CACert: rubbish, Cert: pki.Server.Cert, Key: pki.Server.Key}, true, []string{"--cacert", rubbish}},
		"missing key":         {peer.Identity{CACert: pki.CACert, Cert: pki.Server.Cert, Key: missing}, true, []string{"--key " + missing}},
		"key that is none":    {peer.Identity{CACert: pki.CACert, Cert: pki.Server.Cert, Key: rubbish}, true, []string{"--key " + rubbish}},
		"key with passphrase": {peer.Identity{CACert: pki.CACert, Cert: pki.Server.Cert, Key: "../keyfile/testdata/legacy.key"}, true, []string{"../keyfile/testdata/legacy.key has a passphrase"}},
		"key of another":      {peer.Identity{CACert: pki.CACert, Cert: pki.Server.Cert, Key: pki.Client.Key}, true, []string{"does not match", "another certificate"}},
		"expired":             {identity(pki, expired), true, []string{"expired on", "renew"}},
		"not yet valid":       {identity(pki, early), true, []string{"is not valid before", "clock"}},
		"for clients only":    {client(pki), false, []string{"for clients only", "healthcheck-client.crt", "pki/etcd/server.crt"}},
		"of another CA":       {peer.Identity{CACert: pki.CACert, Cert: stranger.Server.Cert, Key: stranger.Server.Key}, false, []string{"was not signed by the CA in --cacert"}},
	} {
		l := listen(t, "127.0.0.1:0")
		refused(t, "Serve: "+what, peer.Serve(t.Context(), l, x.id, offer([]byte("x")), nil), x.words...)
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Errorf("%s: still listening", what)
		}
		if _, err := peer.Dial(x.id, "127.0.0.1:1"); x.both {
			refused(t, "Dial: "+what, err, x.words...)
		} else if err != nil {
			t.Errorf("Dial: %s: %v", what, err)
		}
	}
	_, err = peer.Dial(identity(pki, serverOnly), "127.0.0.1:1")
	refused(t, "Dial: for servers only", err, "not a client certificate")
	wraps(t, "for servers only", err, peer.ErrCertificate)
	for _, address := range []string{"", "127.0.0.1", ":2379", "127.0.0.1:", "https://127.0.0.1:1", "a@b:1", "a/b:1", "a?:1"} {
		_, err := peer.Dial(client(pki), address)
		refused(t, "Dial "+address, err, "HOST:PORT")
		wraps(t, address, err, peer.ErrConfig)
	}
	for _, o := range []peer.Offer{
		{Name: "../x", Archive: strings.NewReader("x"), Size: 1},
		{Name: "..", Archive: strings.NewReader("x"), Size: 1},
		{Name: "a/b", Archive: strings.NewReader("x"), Size: 1},
		{Archive: strings.NewReader("x"), Size: 1},
		{Name: "empty", Archive: strings.NewReader("")},
		{Name: "cut", Archive: strings.NewReader("x"), Size: 2},
	} {
		if err := peer.Serve(t.Context(), listen(t, "127.0.0.1:0"), server(pki), o, nil); err == nil {
			t.Errorf("%+v: served", o)
		}
	}
}

// Every failure of a client is one line with the peer and what to check.
func TestClientRefusals(t *testing.T) {
	pki, stranger := newPKI(t), newPKI(t)
	good := serve(t, server(pki), offer([]byte("x"))).addr
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }
	with := func(change func(*x509.Certificate)) string {
		return answering(t, identity(pki, issue(t, pki, change)), ok)
	}
	elsewhere := listen(t, "127.0.0.2:0")
	serveAt(t, elsewhere, server(pki), offer([]byte("x")), time.Minute)
	plain := listen(t, "127.0.0.1:0")
	web := &http.Server{Handler: http.HandlerFunc(ok), ReadHeaderTimeout: patience, ErrorLog: quiet()}
	go func() { _ = web.Serve(plain) }()
	t.Cleanup(func() { _ = web.Close() })
	closed := listen(t, "127.0.0.1:0")
	must(t, closed.Close())
	for _, x := range []struct {
		what  string
		id    peer.Identity
		addr  string
		kind  error
		words []string
	}{
		{"client certificate of another CA", peer.Identity{CACert: pki.CACert, Cert: stranger.Client.Cert, Key: stranger.Client.Key}, good, peer.ErrCertificate, []string{"does not trust the CA of --cert"}},
		{"server of another CA", client(stranger), good, peer.ErrCertificate, []string{"--cacert is not the CA"}},
		{"address not in the certificate", client(pki), elsewhere.Addr().String(), peer.ErrCertificate, []string{"is valid for localhost, 127.0.0.1, ::1, not for 127.0.0.2"}},
		{"no address in the certificate", client(pki), with(func(c *x509.Certificate) { c.IPAddresses = nil }), peer.ErrCertificate, []string{"contains no host name"}},
		{"server certificate for clients", client(pki), with(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), peer.ErrCertificate, []string{"not for servers", "healthcheck-client.crt"}},
		{"expired server", client(pki), with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), peer.ErrCertificate, []string{"renew it"}},
		{"plain http", client(pki), plain.Addr().String(), nil, []string{"plain http", "port"}},
		{"nobody listens", client(pki), closed.Addr().String(), nil, []string{"connection refused", "is serve running there"}},
		{"another server", client(pki), answering(t, server(pki), ok), peer.ErrNoPeer, []string{"HTTP status 200", "port"}},
		{"a redirect", client(pki), answering(t, server(pki), func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+good+"/", http.StatusFound)
		}), peer.ErrNoPeer, []string{"302"}},
		{"nonsense", client(pki), answering(t, server(pki), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"service":"etcd-rolling-backup/peer/1","name":"../../etc/passwd","size":1,"sha256":"`+strings.Repeat("ab", 32)+`"}`)
		}), peer.ErrNoPeer, []string{"../../etc/passwd"}},
	} {
		_, err := dial(t, x.id, x.addr).Offer(t.Context())
		refused(t, x.what, err, append(x.words, x.addr)...)
		if x.kind != nil {
			wraps(t, x.what, err, x.kind)
		}
	}
	remote := peer.Remote{Name: name, Size: 1, SHA256: strings.Repeat("ab", 32)}
	_, err := dial(t, client(stranger), good).Get(t.Context(), remote)
	wraps(t, "Get", err, peer.ErrCertificate)
	_, err = dial(t, client(pki), good).Get(t.Context(), remote)
	wraps(t, "Get of another digest", err, peer.ErrChanged)
	remote.Name = "gone"
	_, err = dial(t, client(pki), good).Get(t.Context(), remote)
	wraps(t, "Get of another name", err, peer.ErrChanged)
}

// A client without a certificate, with one of another CA or with an old TLS version gets nothing, and the server says why.
func TestServeRefuses(t *testing.T) {
	pki, stranger := newPKI(t), newPKI(t)
	b := serve(t, server(pki), offer([]byte("secret of the cluster")))
	expired, err := pki.IssueExpired()
	must(t, err)
	for what, x := range map[string]struct {
		pair    *etcdtest.KeyPair
		version uint16
		want    string
	}{
		"no certificate":          {nil, 0, "sent no certificate"},
		"another CA":              {&stranger.Client, 0, "did not sign the client"},
		"expired":                 {&expired, 0, "renew the client's certificate"},
		"no certificate, TLS 1.2": {nil, tls.VersionTLS12, "sent no certificate"},
		"TLS 1.1":                 {&pki.Client, tls.VersionTLS11, "not support TLS 1.2"},
		"TLS 1.0":                 {&pki.Client, tls.VersionTLS10, "not support TLS 1.2"},
	} {
		config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: x.version}
		if x.pair != nil {
			pair, err := tls.LoadX509KeyPair(x.pair.Cert, x.pair.Key)
			must(t, err)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		if got := raw(t, b.addr, config, "GET /"+name+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
			t.Errorf("%s: got %q", what, got)
		}
		b.told(t, what+" is told", func(e peer.Event) bool { return e.Err != nil && strings.Contains(e.Err.Error(), x.want) })
	}
	conn, err := net.Dial("tcp", b.addr)
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /"+name+" HTTP/1.1\r\nHost: x\r\n\r\n")
	must(t, err)
	if got, _ := io.ReadAll(conn); strings.Contains(string(got), "secret") {
		t.Errorf("plain http gets %q", got)
	}
	b.told(t, "plain http is told", func(e peer.Event) bool { return e.Err != nil && strings.Contains(e.Err.Error(), "must speak https") })
}

// raw sends text over TLS and returns everything that comes back until the server closes or sends no more.
func raw(t *testing.T, addr string, config *tls.Config, text string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return ""
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, _ = io.WriteString(conn, text)
	got, _ := io.ReadAll(conn) // an alert is an answer too
	return string(got)
}

// An etcd at the address is reported as such, on its client port and on its peer port.
func TestEtcdIsNoPeer(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{TLS: true, UnsafeNoFsync: true})
	for _, addr := range []string{c.Members[0].Endpoint, strings.TrimPrefix(c.Members[0].PeerURL, "https://")} {
		_, err := dial(t, client(c.PKI), addr).Offer(t.Context())
		refused(t, "etcd at "+addr, err, "an etcd "+etcdtest.Default+".", "use the port of serve")
		wraps(t, addr, err, peer.ErrNoPeer)
	}
}

// A silent peer is given up, wherever it stops sending.
func TestSilentPeerIsAborted(t *testing.T) {
	pki := newPKI(t)
	silent := listen(t, "127.0.0.1:0") // the kernel takes the connection, nobody else
	defer silent.Close()
	hang := make(chan struct{})
	defer close(hang)
	mute := answering(t, server(pki), func(http.ResponseWriter, *http.Request) { <-hang })
	for _, addr := range []string{silent.Addr().String(), mute} {
		c := dial(t, client(pki), addr)
		c.Stall = 300 * time.Millisecond
		began := time.Now()
		_, err := c.Offer(t.Context())
		refused(t, "Offer", err, "no progress for 300ms", "does not answer")
		wraps(t, "Offer", err, snapshot.ErrStalled)
		_, err = c.Get(t.Context(), peer.Remote{Name: name, Size: 1, SHA256: strings.Repeat("ab", 32)})
		wraps(t, "Get", err, snapshot.ErrStalled)
		if took := time.Since(began); took > patience {
			t.Errorf("given up after %s", took)
		}
	}
}
