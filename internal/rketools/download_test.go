package rketools

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot/peer"
)

// Names with characters that a URL encodes come through as they are.
func TestDownloadOfEveryName(t *testing.T) {
	id := kubeNode(t, newPKI(t))
	raw := database(4096)
	for _, name := range []string{snap, "snap1", "c-abc12-rl-x7k2p_2026-11-28T10-00-00Z", "a b", "ümläut", "a%2Fb", "100%", "a?b#c", "a;b,c&d=e"} {
		port, _ := start(t, serve{name: name, dir: host(t, map[string][]byte{name + ".zip": archiveOf(t, name, raw)}), identity: id})
		dir := host(t, nil)
		if err := from(id, port, name, dir).fromPeer(t.Context()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		holds(t, name, dir, map[string][]byte{name: raw})
	}
}

// What is not the snapshot in full never replaces a good local copy, leaves nothing, and is an error soon: Docker repeats the download.
func TestFailedDownloadKeepsTheLocalCopy(t *testing.T) {
	pki, stranger := newPKI(t), newPKI(t)
	id, foreign := kubeNode(t, pki), kubeNode(t, stranger)
	raw := database(1 << 20)
	expired, err := pki.IssueExpired()
	must(t, err)
	damaged := bytes.Clone(raw)
	damaged[5000] ^= 0xff
	strange := foreign
	strange.CACert = pki.CACert
	good, _ := start(t, serve{name: snap, dir: host(t, map[string][]byte{snap: raw}), identity: id})
	cut := original(t, id, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000000")
		_, _ = w.Write(raw)
	})
	type change = func(*download)
	for what, c := range map[string]struct {
		port   string
		change change
		words  []string
	}{
		"cut in the middle":    {cut, nil, []string{"after 1048608 of 100000000 bytes", "closed the connection"}},
		"damaged on the way":   {original(t, id, sending(damaged)), nil, []string{"etcd's digest does not match"}},
		"cut off by the peer":  {original(t, id, sending(raw[:512*100])), nil, []string{"no digest of etcd"}},
		"an archive":           {original(t, id, sending(archiveOf(t, snap, raw))), nil, []string{"not a database but a zip"}},
		"a web page":           {original(t, id, sending([]byte("<!doctype html><html></html>"))), nil, []string{"web page"}},
		"no such snapshot":     {original(t, id, http.NotFound), nil, []string{"404"}},
		"another name":         {good, func(d *download) { d.name = "other" }, []string{"404"}},
		"nobody listens":       {"1", nil, []string{"connection refused"}},
		"client of a stranger": {good, func(d *download) { d.identity = strange }, []string{"its CA signed"}},
		"server of a stranger": {original(t, foreign, sending(raw)), nil, []string{"--cacert is not the CA"}},
		"no certificates":      {good, func(d *download) { d.identity = peer.Identity{} }, []string{"--cacert, --cert and --key"}},
		"no endpoint":          {good, func(d *download) { d.endpoint = "" }, []string{"local-endpoint is required"}},
		"endpoint with a port": {good, func(d *download) { d.endpoint = "127.0.0.1:2379" }, []string{"--local-endpoint"}},
		"endpoint with a path": {good, func(d *download) { d.endpoint = "127.0.0.1/x" }, []string{"not HOST:PORT"}},
		"full disk":            {good, func(d *download) { d.minFree = 1 << 60 }, []string{"free space too low"}},
		"no directory":         {good, func(d *download) { d.dir += "/missing" }, []string{"no such file or directory"}},
		"expired certificate":  {good, func(d *download) { d.identity.Cert, d.identity.Key = expired.Cert, expired.Key }, []string{"expired on"}},
	} {
		local := database(4096)
		files := map[string][]byte{snap: local, snap + ".zip": archiveOf(t, snap, local)}
		dir := host(t, files)
		d := from(id, c.port, snap, dir)
		if c.change != nil {
			c.change(&d)
		}
		began := time.Now()
		refused(t, what, d.fromPeer(t.Context()), c.words...)
		if took := time.Since(began); took > patience {
			t.Errorf("%s: took %s", what, took)
		}
		holds(t, what, dir, files)
	}
}

// A copy that is damaged, or a link in its place, is replaced by the good one, and nothing is followed.
func TestDownloadReplacesWhatIsThere(t *testing.T) {
	id := kubeNode(t, newPKI(t))
	raw := database(1 << 20)
	port, _ := start(t, serve{name: snap, dir: host(t, map[string][]byte{snap: raw}), identity: id})
	dir := host(t, map[string][]byte{snap: []byte("damaged"), "." + snap + ".part": []byte("of a killed download")})
	must(t, from(id, port, snap, dir).fromPeer(t.Context()))
	holds(t, "damaged", dir, map[string][]byte{snap: raw})
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("outside"), 0o600))
	must(t, os.Remove(filepath.Join(dir, snap)))
	must(t, os.Symlink(outside, filepath.Join(dir, snap)))
	must(t, from(id, port, snap, dir).fromPeer(t.Context()))
	holds(t, "link", dir, map[string][]byte{snap: raw})
	if got, err := os.ReadFile(outside); err != nil || string(got) != "outside" {
		t.Errorf("%q %v", got, err)
	}
}

// A download that is killed leaves nothing, because it has no name before it is proven; a signal ends it with an error.
func TestDownloadHasNoNameBeforeItIsProven(t *testing.T) {
	id := kubeNode(t, newPKI(t))
	raw := database(1 << 20)
	half, end := make(chan struct{}), make(chan struct{})
	port := original(t, id, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		_, _ = w.Write(raw[:len(raw)/2])
		_ = http.NewResponseController(w).Flush()
		close(half)
		<-end
	})
	defer close(end)
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"))
	defer func() { must(t, unix.Unmount(dir, 0)) }()
	files := map[string][]byte{snap: database(4096)}
	must(t, os.WriteFile(filepath.Join(dir, snap), files[snap], 0o600))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- from(id, port, snap, dir).fromPeer(ctx) }()
	<-half
	used := func() uint64 {
		var s unix.Statfs_t
		must(t, unix.Statfs(dir, &s))
		return (s.Blocks - s.Bfree) * uint64(s.Bsize)
	}
	for late := time.Now().Add(patience); used() < uint64(len(raw))/4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("nothing of the download arrives")
		}
	}
	holds(t, "in the middle", dir, files)
	cancel(errors.New("stopped by a signal"))
	refused(t, "signal", <-ended, "stopped by a signal")
	holds(t, "afterwards", dir, files)
}
