package peer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Several clients at the same time receive exactly the offered bytes, and each request is reported.
func TestFetch(t *testing.T) {
	pki := newPKI(t)
	data := noise(8 << 20)
	b := serve(t, server(pki), offer(data))
	sum := sha256.Sum256(data)
	want := peer.Remote{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			if got, err := fetch(t, dial(t, client(pki), b.addr), want); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %d and %v", len(got), len(data), err)
			}
		})
	}
	clients.Wait()
	e := b.told(t, "the transfer is told", func(e peer.Event) bool { return e.Path == "/"+name })
	if e.Client != "client" || e.Method != "GET" || e.Status != 200 || e.Bytes != want.Size || e.Err != nil || e.Remote == "" || e.Took <= 0 {
		t.Errorf("told is %+v", e)
	}

	c := dial(t, client(pki), b.addr)
	r, err := c.Get(t.Context(), want)
	must(t, err)
	must(t, iotest.TestReader(r, data))
	must(t, r.Close())
	r, err = c.Get(t.Context(), want) // left in the middle
	must(t, err)
	_, err = io.ReadFull(r, make([]byte, 1000))
	must(t, err)
	must(t, r.Close())
	must(t, r.Close())
}

// fetch asks for the offer, compares it and reads all of it.
func fetch(t testing.TB, c *peer.Client, want peer.Remote) ([]byte, error) {
	got, err := c.Offer(t.Context())
	if err != nil {
		return nil, err
	}
	if got != want {
		return nil, fmt.Errorf("offered is %+v, want %+v", got, want)
	}
	r, err := c.Get(t.Context(), got)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// A member's store accepts what a peer sends.
func TestReceive(t *testing.T) {
	pki := newPKI(t)
	n := snapshot.Name{Set: snapshot.RollingSet, Node: "node-a", Time: time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)}
	var packed bytes.Buffer
	w, err := snapshot.NewWriter(&packed)
	must(t, err)
	db := noise(1 << 20)
	sum := sha256.Sum256(db)
	_, err = w.Write(append(db, sum[:]...))
	must(t, err)
	_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, Node: n.Node, ToolVersion: "test"})
	must(t, err)

	b := serve(t, server(pki), peer.Offer{Name: n.String(), Archive: bytes.NewReader(packed.Bytes()), Size: int64(packed.Len())})
	c := dial(t, client(pki), b.addr)
	remote, err := c.Offer(t.Context())
	must(t, err)
	r, err := c.Get(t.Context(), remote)
	must(t, err)
	defer r.Close()
	dir := snapshot.NewDir(t.TempDir())
	m, err := dir.Receive(t.Context(), n, remote.Name, r, remote.Size, 0, nil)
	if err != nil || m.Name != n.String() {
		t.Errorf("received %q: %v", m.Name, err)
	}
	if _, err := dir.Manifest(n); err != nil {
		t.Error(err)
	}
}
