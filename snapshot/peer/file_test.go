package peer_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// rkeName has what RKE's names contain: colons and a plus.
const rkeName = "2026-11-28T10:00:00+02:00_etcd"

// kubeNode is a certificate like RKE's kube-node.pem: for clients only, without a host name and an address.
func kubeNode(t testing.TB, pki *etcdtest.Authority) peer.Identity {
	t.Helper()
	id := identity(pki, issue(t, pki, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "system:node", Organization: []string{"system:nodes"}}
		c.IPAddresses, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}))
	id.Nameless = true
	return id
}

// serveFile serves until the end of the test; stop ends it earlier, and returns its error.
func serveFile(t testing.TB, id peer.Identity, name string, open func(context.Context) (peer.File, error)) (addr string, stop func() error) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- peer.ServeFile(ctx, l, id, name, open, nil) }()
	stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(patience):
			return errors.New("ServeFile does not end")
		}
	}
	t.Cleanup(func() { _ = stop() }) // tests that expect an error look at it themselves
	return l.Addr().String(), stop
}

func ready(data []byte) func(context.Context) (peer.File, error) {
	return func(context.Context) (peer.File, error) {
		return peer.File{Content: bytes.NewReader(data), Size: int64(len(data)), Digest: "digest"}, nil
	}
}

// readFile fetches a file in full.
func readFile(t testing.TB, c *peer.Client, name string) ([]byte, error) {
	t.Helper()
	r, size, err := c.File(t.Context(), name, patience)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && size != int64(len(got)) {
		t.Errorf("%d bytes, announced were %d", len(got), size)
	}
	return got, err
}

// rkeClient is an HTTP client as the download of rke-tools: it presents kube-node.pem and checks nothing of the server.
func rkeClient(t testing.TB, id peer.Identity) *http.Client {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(id.Cert, id.Key)
	must(t, err)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
}

// rkeServer is an HTTP server as the serve of rke-tools: mutual TLS, and the file of one path.
func rkeServer(t testing.TB, id peer.Identity, name string, data []byte) (addr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw")
	must(t, os.WriteFile(path, data, 0o600))
	ca, err := os.ReadFile(id.CACert)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	mux := http.NewServeMux()
	mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	l := listen(t, "127.0.0.1:0")
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: patience, ErrorLog: quiet(),
		TLSConfig: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.ServeTLS(l, id.Cert, id.Key) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return l.Addr().String()
}

// Certificates like RKE's work on both sides, with rke-tools on either side too.
func TestFileWithNamelessCertificates(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	data := noise(3 << 20)
	ours, _ := serveFile(t, id, rkeName, ready(data))
	for what, addr := range map[string]string{"ours": ours, "rke-tools": rkeServer(t, id, rkeName, data)} {
		got, err := readFile(t, dial(t, id, addr), rkeName)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("from %s: %d bytes and %v", what, len(got), err)
		}
		res, err := rkeClient(t, id).Get("https://" + addr + "/" + rkeName)
		must(t, err)
		got, err = io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK || res.ContentLength != int64(len(data)) || !bytes.Equal(got, data) {
			t.Errorf("rke-tools from %s: status %d, %d bytes of %d and %v", what, res.StatusCode, len(got), res.ContentLength, err)
		}
		must(t, res.Body.Close())
	}
}

// The chain is still checked on both sides, and TLS is 1.2 or newer.
func TestNamelessCertificatesOfStrangersAreRefused(t *testing.T) {
	pki, stranger := newPKI(t), newPKI(t)
	id, foreign := kubeNode(t, pki), kubeNode(t, stranger)
	mixed := foreign
	mixed.CACert = pki.CACert
	data := []byte("data")
	addr, _ := serveFile(t, id, rkeName, ready(data))
	expired := identity(pki, issue(t, pki, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
	for what, c := range map[string]struct {
		id    peer.Identity
		addr  string
		words string
	}{
		"client of a stranger":            {mixed, addr, "the peer requires --cert and --key of a client certificate"},
		"server of a stranger":            {id, rkeServer(t, foreign, rkeName, data), "--cacert is not the CA of the peer's certificate"},
		"expired server":                  {id, rkeServer(t, expired, rkeName, data), "renew it, or correct the clock"},
		"stranger as client of rke-tools": {mixed, rkeServer(t, id, rkeName, data), "the peer does not trust the CA of --cert"},
	} {
		_, err := readFile(t, dial(t, c.id, c.addr), rkeName)
		refused(t, what, err, c.words)
		wraps(t, what, err, peer.ErrCertificate)
	}
	for what, presented := range map[string]peer.Identity{"stranger": foreign, "expired": expired} {
		if res, err := rkeClient(t, presented).Get("https://" + addr + "/" + rkeName); err == nil {
			t.Errorf("%s got an answer with status %d", what, res.StatusCode)
			_ = res.Body.Close()
		}
	}
	without := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if res, err := without.Get("https://" + addr + "/" + rkeName); err == nil {
		t.Errorf("a client without a certificate got an answer with status %d", res.StatusCode)
		_ = res.Body.Close()
	}
	old := rkeClient(t, id)
	config := old.Transport.(*http.Transport).TLSClientConfig
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if res, err := old.Get("https://" + addr + "/" + rkeName); err == nil {
		t.Errorf("TLS 1.1 got an answer with status %d", res.StatusCode)
		_ = res.Body.Close()
	}
	strict := id
	strict.Nameless = false
	refused(t, "the same server, strictly", peer.Serve(t.Context(), listen(t, "127.0.0.1:0"), strict, offer(data), nil), "for clients only")
	_, err := readFile(t, dial(t, strict, addr), rkeName)
	refused(t, "the same client, strictly", err, "contains no host name")
}

// Requests wait until the file is ready; a client that leaves, and the end of the server, wait for nothing.
func TestRequestsWaitUntilTheFileIsReady(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	data := noise(1 << 20)
	opening, finish := make(chan struct{}), make(chan struct{})
	addr, _ := serveFile(t, id, rkeName, func(ctx context.Context) (peer.File, error) {
		close(opening)
		select {
		case <-finish:
		case <-ctx.Done():
		}
		return ready(data)(ctx)
	})
	<-opening
	_, _, err := dial(t, id, addr).File(t.Context(), rkeName, 100*time.Millisecond)
	refused(t, "a peer that unpacks for too long", err, "no progress for 100ms")
	if status := statusAfterLeaving(t, id, addr, rkeName); status != http.StatusServiceUnavailable {
		t.Errorf("a client that leaves: status %d: an empty file", status)
	}
	res, err := rkeClient(t, id).Head("https://" + addr + "/other")
	must(t, err)
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("another name: status %d", res.StatusCode)
	}
	must(t, res.Body.Close())
	time.AfterFunc(100*time.Millisecond, func() { close(finish) })
	if got, err := readFile(t, dial(t, id, addr), rkeName); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes and %v", len(got), err)
	}
}

// A file that can't be opened ends the server with the reason, also while a client waits; a signal ends it without an error.
func TestServeFileEndsWithTheReason(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	damage := errors.New("damaged")
	waiting := make(chan struct{})
	l := listen(t, "127.0.0.1:0")
	asked := make(chan error, 1)
	go func() {
		<-waiting
		c, err := peer.Dial(id, l.Addr().String())
		if err == nil {
			_, _, err = c.File(context.Background(), rkeName, patience)
		}
		asked <- err
	}()
	err := peer.ServeFile(t.Context(), l, id, rkeName, func(context.Context) (peer.File, error) {
		close(waiting)
		return peer.File{}, damage
	}, nil)
	if !errors.Is(err, damage) {
		t.Errorf("%v", err)
	}
	if err := <-asked; err == nil {
		t.Error("the client got an answer")
	}
	opening := make(chan struct{})
	_, stop := serveFile(t, id, rkeName, func(ctx context.Context) (peer.File, error) {
		close(opening)
		<-ctx.Done()
		return peer.File{}, context.Cause(ctx)
	})
	<-opening
	if err := stop(); err != nil {
		t.Errorf("stopped while it opened the file: %v", err)
	}
}

// A broken connection to a peer that still runs costs only time; also to rke-tools.
func TestFileResumesAfterBrokenConnections(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	data := noise(8 << 20)
	ours, _ := serveFile(t, id, rkeName, ready(data))
	for what, behind := range map[string]string{"ours": ours, "rke-tools": rkeServer(t, id, rkeName, data)} {
		addr, cuts := cutting(t, behind, 3<<20)
		got, err := readFile(t, dial(t, id, addr), rkeName)
		if err != nil || !bytes.Equal(got, data) || cuts() < 2 {
			t.Errorf("%s: %d bytes after %d cuts and %v", what, len(got), cuts(), err)
		}
	}
}

// What can't become the file is an error soon, not after a minute.
func TestFileThatCannotComeIsRefusedSoon(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	data := noise(8 << 20)
	closed := listen(t, "127.0.0.1:0")
	must(t, closed.Close())
	header := func(status, length string) string {
		return answering(t, id, func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = rw.WriteString("HTTP/1.1 " + status + "\r\n" + length + "\r\n\r\nhalf")
			_ = rw.Flush()
		})
	}
	var answers atomic.Int64
	changing := answering(t, id, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, answers.Add(1)))
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
	})
	for what, c := range map[string]struct {
		addr  string
		words string
	}{
		"nobody listens":    {closed.Addr().String(), "connection refused"},
		"no such file":      {rkeServer(t, id, "other", data), "HTTP status 404: has it another name there?"},
		"an error":          {header("500 Oops", "Content-Length: 4"), "HTTP status 500"},
		"a redirect":        {header("302 Found", "Location: /x"), "HTTP status 302"},
		"empty":             {header("200 OK", "Content-Length: 0"), "the file is empty"},
		"unknown length":    {header("200 OK", "Connection: close"), "does not say how long"},
		"cut, not the same": {changing, "another snapshot now"},
		"cut, no ranges":    {header("200 OK", "Content-Length: 100"), "EOF"},
	} {
		began := time.Now()
		_, err := readFile(t, dial(t, id, c.addr), rkeName)
		refused(t, what, err, c.words)
		if took := time.Since(began); took > patience/2 {
			t.Errorf("%s: took %s", what, took)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`} {
		if _, err := readFile(t, dial(t, id, closed.Addr().String()), name); !errors.Is(err, peer.ErrConfig) {
			t.Errorf("name %q: %v", name, err)
		}
		if err := peer.ServeFile(t.Context(), listen(t, "127.0.0.1:0"), id, name, ready(data), nil); !errors.Is(err, peer.ErrConfig) {
			t.Errorf("serve %q: %v", name, err)
		}
	}
}

// A peer that exits in the middle of a transfer is not waited for.
func TestFileOfAPeerThatExitsFailsSoon(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	const size = 64 << 20 // more than lies on the way when the peer exits
	addr, stop := serveFile(t, id, rkeName, func(context.Context) (peer.File, error) {
		return peer.File{Content: zeros{}, Size: size, Digest: "zeros"}, nil
	})
	r, _, err := dial(t, id, addr).File(t.Context(), rkeName, patience)
	must(t, err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 1<<20))
	must(t, err)
	must(t, stop())
	began := time.Now()
	_, err = io.Copy(io.Discard, r)
	refused(t, "peer that exits", err, "connection refused", "bytes")
	if took := time.Since(began); took > patience || errors.Is(err, snapshot.ErrStalled) {
		t.Errorf("took %s: %v", took, err)
	}
}

// An etcd that still runs on the port is named.
func TestFileFromARunningEtcdSaysSo(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	_, err := readFile(t, dial(t, kubeNode(t, c.PKI), c.Members[0].Endpoint), rkeName)
	refused(t, "etcd", err, "an etcd "+c.Version, "stop it and start serve")
	wraps(t, "etcd", err, peer.ErrNotServed)
}

// Every path but one is refused, whatever its encoding, and no method but GET and HEAD is served.
func TestServeFileKnowsOnePath(t *testing.T) {
	pki := newPKI(t)
	id := kubeNode(t, pki)
	addr, _ := serveFile(t, id, rkeName, ready([]byte("data")))
	for path, want := range map[string]int{
		"/" + rkeName: 200, "/2026-11-28T10%3A00%3A00%2B02%3A00_etcd": 200,
		"/": 404, "/x": 404, "//" + rkeName: 404, "/x/../" + rkeName: 404, "/" + rkeName + "/": 404, "/%2e%2e/" + rkeName: 404,
		"/" + rkeName + ".zip": 404, "/../../etc/passwd": 404,
	} {
		conn, err := tls.Dial("tcp", addr, rkeClient(t, id).Transport.(*http.Transport).TLSClientConfig)
		must(t, err)
		_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		must(t, err)
		got, _ := io.ReadAll(conn)
		must(t, conn.Close())
		if !bytes.HasPrefix(got, fmt.Appendf(nil, "HTTP/1.1 %d ", want)) {
			t.Errorf("%s: %q, want %d", path, got, want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+addr+"/"+rkeName, nil)
		must(t, err)
		res, err := rkeClient(t, id).Do(req)
		must(t, err)
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d", method, res.StatusCode)
		}
		must(t, res.Body.Close())
	}
}

// statusAfterLeaving closes its side of the connection after the request, and returns what the server answers all the same.
func statusAfterLeaving(t *testing.T, id peer.Identity, addr, name string) int {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, rkeClient(t, id).Transport.(*http.Transport).TLSClientConfig)
	must(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: peer\r\n\r\n", name)
	must(t, err)
	must(t, conn.CloseWrite())
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	must(t, res.Body.Close())
	return res.StatusCode
}
