package rketools

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// snap is the name of a snapshot as RKE makes it.
const snap = "2026-11-28T10:00:00+02:00_etcd"

// soon is the time after which RKE looks whether serve still runs.
const soon = 5 * time.Second

// patience limits the wait for immediate results, on a busy machine.
const patience = 20 * time.Second

func newPKI(t testing.TB) *etcdtest.Authority {
	t.Helper()
	pki, err := etcdtest.NewAuthority(t.TempDir())
	must(t, err)
	return pki
}

// kubeNode is the trio of RKE: a certificate for clients only, without a host name and an address.
func kubeNode(t testing.TB, pki *etcdtest.Authority) peer.Identity {
	t.Helper()
	pair, err := pki.IssueClient("system:node", time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	must(t, err)
	return peer.Identity{CACert: pki.CACert, Cert: pair.Cert, Key: pair.Key}
}

// database is the beginning of a database, noise, and etcd's digest.
func database(size int) []byte {
	b := make([]byte, size)
	_, _ = mathrand.NewChaCha8([32]byte{1}).Read(b) // never fails
	binary.NativeEndian.PutUint32(b[16:], 0xED0CDAED)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// zipMember is one file of an archive.
type zipMember struct {
	name    string
	content []byte
}

// archive is a zip as rke-tools writes it.
func archive(t testing.TB, members ...zipMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: time.Unix(0, 0)})
		must(t, err)
		_, err = f.Write(m.content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func archiveOf(t testing.TB, name string, raw []byte) []byte {
	t.Helper()
	return archive(t, zipMember{"/backup/" + name, raw}, zipMember{"/etc/kubernetes/" + name + ".rkestate", []byte(`{"desiredState": {}}`)})
}

// archiveOfOurs is a zip as this program writes it: rke-tools reads it, and it has a manifest.
func archiveOfOurs(t testing.TB, name string, raw []byte) []byte {
	t.Helper()
	n, err := snapshot.OtherName(name + ".zip")
	must(t, err)
	var b bytes.Buffer
	w, err := snapshot.NewZipWriter(&b, n, n.Time)
	must(t, err)
	_, err = w.Write(raw)
	must(t, err)
	w.SetStateFile([]byte(`{"desiredState": {}}`))
	_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, ToolVersion: "test"})
	must(t, err)
	return b.Bytes()
}

// host is one /backup.
func host(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

// holds demands exactly these files.
func holds(t testing.TB, what, dir string, want map[string][]byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("%s: %s has mode %s", what, e.Name(), info.Mode())
		}
		if got, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || !bytes.Equal(got, want[e.Name()]) {
			t.Errorf("%s: %s: %d bytes, want %d, and %v", what, e.Name(), len(got), len(want[e.Name()]), err)
		}
	}
	if len(names) != len(want) {
		t.Errorf("%s: there are %q", what, names)
	}
}

func quiet() logrus.FieldLogger {
	l, _ := test.NewNullLogger()
	return l
}

// addresses is a hook that hears where serve listens.
type addresses chan string

func (addresses) Levels() []logrus.Level { return logrus.AllLevels }

func (a addresses) Fire(e *logrus.Entry) error {
	if address, ok := e.Data["address"].(string); ok {
		a <- address
	}
	return nil
}

// start runs serve until the end of the test; stop ends it earlier, as a signal does, and returns its error.
func start(t testing.TB, s serve) (port string, stop func() error) {
	t.Helper()
	l, _ := test.NewNullLogger()
	heard := make(addresses, 1)
	l.AddHook(heard)
	s.listen, s.log = "127.0.0.1:0", l
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(patience):
			return errors.New("serve does not exit")
		}
	}
	t.Cleanup(func() { _ = stop() }) // tests that stop it look at its error
	select {
	case address := <-heard:
		_, port, err := net.SplitHostPort(address)
		must(t, err)
		return port, stop
	case err := <-ended:
		t.Fatalf("serve: %v", err)
	case <-time.After(patience):
		t.Fatal("serve does not begin")
	}
	return "", stop
}

// original is a server as the serve of rke-tools.
func original(t testing.TB, id peer.Identity, handle http.HandlerFunc) (port string) {
	t.Helper()
	ca, err := os.ReadFile(id.CACert)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{
		Handler: handle, ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0),
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
	_, port, err = net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// sending answers every request with these bytes.
func sending(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(b))
	}
}

// originalDownload fetches as the download of rke-tools does: it checks nothing of the server.
func originalDownload(t testing.TB, id peer.Identity, port, name string) []byte {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(id.Cert, id.Key)
	must(t, err)
	c := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	res, err := c.Get("https://127.0.0.1:" + port + "/" + name)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d: %s", res.StatusCode, b)
	}
	return b
}

// from is a download to dir.
func from(id peer.Identity, port, name, dir string) download {
	return download{name: name, dir: dir, log: quiet(), endpoint: "127.0.0.1", port: port, identity: id}
}

// refused demands a one-line error with the words.
func refused(t testing.TB, what string, err error, words ...string) {
	t.Helper()
	t.Logf("%-40s %v", what, err)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v", what, err)
		return
	}
	if missing := slices.IndexFunc(words, func(w string) bool { return !strings.Contains(err.Error(), w) }); missing >= 0 {
		t.Errorf("%s: %q is not in: %v", what, words[missing], err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
