package rketools

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// One host serves, the others download, with rke-tools on either side: all have the bytes that etcdctl saved, and etcd restores them.
func TestServedSnapshotIsTheSameOnAllHosts(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{Version: "3.5", TLS: true, UnsafeNoFsync: true}) // RKE's
	client := etcdtest.Dial(t, c)
	_, err := client.Put(t.Context(), "key", "value")
	must(t, err)
	saved := filepath.Join(t.TempDir(), "saved")
	_, err = c.Members[0].Etcdctl(t.Context(), "snapshot", "save", saved)
	must(t, err)
	raw, err := os.ReadFile(saved)
	must(t, err)
	id := kubeNode(t, c.PKI)
	zipped := archiveOf(t, snap, raw)
	first := host(t, map[string][]byte{snap + ".zip": zipped})
	port, stop := start(t, serve{name: snap, dir: first, identity: id})
	theirs := original(t, id, sending(raw))
	own := archiveOf(t, snap, database(4096)) // each host has its own snapshot of that name
	for what, port := range map[string]string{"ours": port, "rke-tools": theirs} {
		dir := host(t, map[string][]byte{snap + ".zip": own})
		for range 2 {
			must(t, from(id, port, snap, dir).fromPeer(t.Context()))
			holds(t, "download from "+what, dir, map[string][]byte{snap + ".zip": own, snap: raw})
		}
		restored := filepath.Join(t.TempDir(), "restored")
		_, err = c.Members[0].Etcdctl(t.Context(), "snapshot", "restore", filepath.Join(dir, snap), "--data-dir="+restored)
		if err != nil {
			t.Errorf("download from %s: %v", what, err)
		}
	}
	if got := originalDownload(t, id, port, snap); !bytes.Equal(got, raw) {
		t.Errorf("rke-tools downloads %d bytes of %d", len(got), len(raw))
	}
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	holds(t, "host of serve", first, map[string][]byte{snap + ".zip": zipped, snap: raw})
}

// The archive goes before the raw database, whatever its member is called; without an archive the raw database is served.
func TestServeFindsTheDatabase(t *testing.T) {
	id := kubeNode(t, newPKI(t))
	raw, other := database(1<<20), database(4096)
	badState := func(b []byte) []byte {
		state := "/etc/kubernetes/" + snap + ".rkestate"
		b[bytes.Index(b, []byte(state))+len(state)+5] ^= 0xff // the member's data follow its name
		return b
	}
	for what, files := range map[string]map[string][]byte{
		"archive":                {snap + ".zip": archiveOf(t, snap, raw)},
		"archive of ours":        {snap + ".zip": archiveOfOurs(t, snap, raw)},
		"archive next to a raw":  {snap + ".zip": archiveOf(t, snap, raw), snap: other},
		"renamed archive":        {snap + ".zip": archiveOf(t, "another", raw)},
		"archive without state":  {snap + ".zip": archive(t, zipMember{"/backup/" + snap, raw})},
		"archive with bad state": {snap + ".zip": badState(archiveOf(t, snap, raw))},
		"ours with bad state":    {snap + ".zip": badState(archiveOfOurs(t, snap, raw))},
		"raw only":               {snap: raw},
		"raw next to others":     {snap: raw, snap + "-other.zip": archiveOf(t, snap, other), "1.zip": nil},
	} {
		dir := host(t, files)
		port, stop := start(t, serve{name: snap, dir: dir, identity: id})
		if got := originalDownload(t, id, port, snap); !bytes.Equal(got, raw) {
			t.Errorf("%s: %d bytes of %d", what, len(got), len(raw))
		}
		if err := stop(); err != nil {
			t.Errorf("%s: stopped: %v", what, err)
		}
		files[snap] = raw
		holds(t, what, dir, files)
	}
}

// A serve that can't work fails before RKE looks whether it runs, and changes nothing.
func TestServeThatCannotWorkFailsSoon(t *testing.T) {
	pki, stranger := newPKI(t), newPKI(t)
	id := kubeNode(t, pki)
	raw := database(4096)
	good := archiveOf(t, snap, raw)
	undigested, unlike := raw[:4096], append(bytes.Clone(raw[:4096]), make([]byte, 32)...)
	expired, err := pki.IssueExpired()
	must(t, err)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	cut := append(bytes.Clone(good[:len(good)/2]), make([]byte, 100)...)
	damaged, ours := bytes.Clone(good), archiveOfOurs(t, snap, raw)
	damaged[2000] ^= 0xff
	ours[2000] ^= 0xff
	type files = map[string][]byte
	for what, c := range map[string]struct {
		files   files
		change  func(*serve)
		minFree int64
		words   []string
	}{
		"no name":             {files{snap: raw}, func(s *serve) { s.name = "" }, 0, []string{"snapshot name is required"}},
		"no such snapshot":    {files{"other.zip": good, snap + "-2.zip": good}, nil, 0, []string{"no such snapshot", snap}},
		"no certificates":     {files{snap: raw}, func(s *serve) { s.identity = peer.Identity{} }, 0, []string{"--cacert, --cert and --key"}},
		"missing certificate": {files{snap: raw}, func(s *serve) { s.identity.Cert += ".missing" }, 0, []string{"--cert"}},
		"of a stranger":       {files{snap: raw}, func(s *serve) { s.identity = kubeNode(t, stranger); s.identity.CACert = pki.CACert }, 0, []string{"was not signed by the CA"}},
		"expired":             {files{snap: raw}, func(s *serve) { s.identity.Cert, s.identity.Key = expired.Cert, expired.Key }, 0, []string{"expired on", "renew"}},
		"taken port":          {files{snap: raw}, func(s *serve) { s.listen = taken.Addr().String() }, 0, []string{"address already in use", "is etcd still running"}},
		"cut archive":         {files{snap + ".zip": cut}, nil, 0, []string{"damaged", snap + ".zip"}},
		"damaged archive":     {files{snap + ".zip": damaged}, nil, 0, []string{"damaged", snap + ".zip"}},
		"damaged next to raw": {files{snap + ".zip": damaged, snap: raw}, nil, 0, []string{"damaged", "next to it is", "move the archive away"}},
		"damaged ours":        {files{snap + ".zip": ours}, nil, 0, []string{"damaged", snap + ".zip"}},
		"empty archive":       {files{snap + ".zip": nil}, nil, 0, []string{snap + ".zip", "empty"}},
		"two databases":       {files{snap + ".zip": archive(t, zipMember{"/backup/" + snap, raw}, zipMember{"/backup/" + snap, raw})}, nil, 0, []string{"two databases"}},
		"no database":         {files{snap + ".zip": archive(t, zipMember{"x", []byte("x")})}, nil, 0, []string{"without a database"}},
		"no digest in it":     {files{snap + ".zip": archiveOf(t, snap, undigested)}, nil, 0, []string{"no digest of etcd at its end"}},
		"raw without digest":  {files{snap: undigested}, nil, 0, []string{"no digest of etcd at its end"}},
		"raw unlike digest":   {files{snap: unlike}, nil, 0, []string{"etcd's digest does not match"}},
		"raw is text":         {files{snap: []byte("text")}, nil, 0, []string{"text"}},
		"raw is a zip":        {files{snap: good}, nil, 0, []string{"not a database but a zip"}},
		"full disk":           {files{snap + ".zip": good}, nil, 1 << 60, []string{"free space too low"}},
	} {
		dir := host(t, c.files)
		s := serve{name: snap, dir: dir, identity: id, listen: "127.0.0.1:0", minFree: c.minFree, log: quiet()}
		if c.change != nil {
			c.change(&s)
		}
		began := time.Now()
		err := s.run(t.Context())
		refused(t, what, err, c.words...)
		if took := time.Since(began); took > soon {
			t.Errorf("%s: took %s", what, took)
		}
		holds(t, what, dir, c.files)
	}
	dir := host(t, nil)
	must(t, unix.Mkfifo(filepath.Join(dir, snap+".zip"), 0o600))
	refused(t, "a pipe", serve{name: snap, dir: dir, identity: id, log: quiet()}.run(t.Context()), "a pipe")
	refused(t, "no directory", serve{name: snap, dir: dir + "/missing", identity: id, log: quiet()}.run(t.Context()), "no such snapshot")
}

// No name leaves /backup, on either side, and none is that of a hidden file or of an archive.
func TestNamesThatAreNoNamesAreRefused(t *testing.T) {
	id := kubeNode(t, newPKI(t))
	dir := host(t, nil)
	for _, name := range []string{
		"", ".", "..", "../evil", "/etc/passwd", "a/b", "a/", `..\evil`, ".lock", ".snap.part", "a\x00b", "a\nb", "\x1b[2J", strings.Repeat("x", 250),
	} {
		refused(t, "serve", serve{name: name, dir: dir, identity: id, log: quiet()}.run(t.Context()), snapshot.ErrName.Error())
		refused(t, "download", from(id, "1", name, dir).fromPeer(t.Context()), snapshot.ErrName.Error())
	}
	refused(t, "serve", serve{name: "snap.zip", dir: dir, identity: id, log: quiet()}.run(t.Context()), `the name of the snapshot is "snap"`)
	for _, name := range []string{snap, "snap1", "rke_etcd_snapshot_2026-11-28T10:00:00+02:00", "c-abc12-rl-x7k2p_2026-11-28T10-00-00Z", "a b", "ümläut", "a%2Fb", "a?b#c"} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
