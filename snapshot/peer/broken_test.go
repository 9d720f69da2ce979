package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// zeros is a large snapshot that takes no memory.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// cutting passes connections on to a peer and cuts each after some bytes of the answer.
func cutting(t *testing.T, behind string, after int64) (addr string, count func() int) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	var group sync.WaitGroup
	var mu sync.Mutex
	cuts := 0
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				b, err := net.Dial("tcp", behind)
				if err != nil {
					return
				}
				defer b.Close()
				group.Go(func() { _, _ = io.Copy(b, c) }) // ends with either
				if n, _ := io.CopyN(c, b, after); n == after {
					mu.Lock()
					defer mu.Unlock()
					cuts++
				}
			})
		}
	})
	t.Cleanup(func() {
		must(t, l.Close())
		group.Wait()
	})
	return l.Addr().String(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return cuts
	}
}

// Repeated broken connections cost only time: each new one continues where the last one ended.
func TestTransferResumesAfterBrokenConnections(t *testing.T) {
	pki := newPKI(t)
	data := noise(8 << 20)
	b := serve(t, server(pki), offer(data))
	addr, cuts := cutting(t, b.addr, 3<<20)
	c := dial(t, client(pki), addr)
	remote, err := c.Offer(t.Context())
	must(t, err)
	if got, err := fetch(t, c, remote); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes and %v", len(got), err)
	}
	if cuts() < 2 {
		t.Errorf("cut %d times", cuts())
	}
	e := b.told(t, "a range is told", func(e peer.Event) bool { return e.Status == http.StatusPartialContent && e.Err == nil })
	if e.Bytes >= int64(len(data)) {
		t.Errorf("a resumed transfer gave all again: %+v", e)
	}
}

// A transfer continues after a peer dies and returns; with another snapshot it fails; if the peer stays away, the error says so.
func TestTransferResumesAfterRestartOfPeer(t *testing.T) {
	pki := newPKI(t)
	const size = 64 << 20 // more than lies on the way when the peer dies
	first := peer.Offer{Name: name, Archive: zeros{}, Size: size}
	begin := func(stall time.Duration) (r io.ReadCloser, addr string) {
		b := serve(t, server(pki), first)
		c := dial(t, client(pki), b.addr)
		remote, err := c.Offer(t.Context())
		must(t, err)
		r, err = c.Get(t.Context(), remote)
		must(t, err)
		t.Cleanup(func() { _ = r.Close() })
		_, err = io.ReadFull(r, make([]byte, 1<<20))
		must(t, err)
		c.Stall = stall // from here on: what came before may take its time
		b.stop()
		return r, b.addr
	}
	r, addr := begin(time.Minute)
	back := make(chan *bench)
	go func() {
		time.Sleep(300 * time.Millisecond) // nobody listens meanwhile
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			close(back)
			return
		}
		back <- serveAt(t, l, server(pki), first, time.Minute)
	}()
	if n, err := io.Copy(io.Discard, r); n != size-1<<20 || err != nil {
		t.Errorf("%d more bytes of %d and %v", n, size, err)
	}
	<-back

	r, addr = begin(time.Minute)
	other := offer(noise(size))
	serveAt(t, listen(t, addr), server(pki), other, time.Minute)
	_, err := io.Copy(io.Discard, r)
	refused(t, "another snapshot", err, addr, "offers another snapshot", fmt.Sprintf("of %d bytes", size))
	wraps(t, "another snapshot", err, peer.ErrChanged)

	r, addr = begin(5 * time.Second)
	_, err = io.Copy(io.Discard, r)
	refused(t, "stays away", err, addr, "no progress for 5s", "connection refused", "is serve running")
	wraps(t, "stays away", err, snapshot.ErrStalled)
}

// A peer that keeps the connection and sends nothing more is given up; a caller's wait ends with its context.
func TestStall(t *testing.T) {
	pki := newPKI(t)
	remote := peer.Remote{Name: name, Size: 1000, SHA256: strings.Repeat("ab", 32)}
	hang := make(chan struct{})
	defer close(hang)
	addr := answering(t, server(pki), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+remote.SHA256+`"`)
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(make([]byte, 10))
		_ = http.NewResponseController(w).Flush()
		<-hang
	})
	c := dial(t, client(pki), addr)
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := c.Get(ctx, remote)
	must(t, err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 10))
	must(t, err)
	enough := errors.New("enough")
	time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
	_, err = r.Read(make([]byte, 1))
	wraps(t, "an ended context", err, enough)

	r, err = c.Get(t.Context(), remote)
	must(t, err)
	defer r.Close()
	c.Stall = 600 * time.Millisecond
	// A server that ignores ranges cannot continue the transfer.
	_, err = io.Copy(io.Discard, r)
	if !errors.Is(err, snapshot.ErrStalled) && !errors.Is(err, peer.ErrNoPeer) {
		t.Errorf("a silent peer: %v", err)
	}
}

// Bytes other than the offered ones end with an error, not with io.EOF.
func TestChangedBytesAreDamage(t *testing.T) {
	pki := newPKI(t)
	data := noise(1000)
	remote := peer.Remote{Name: name, Size: 1000, SHA256: strings.Repeat("ab", 32)}
	addr := answering(t, server(pki), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+remote.SHA256+`"`)
		_, _ = w.Write(data)
	})
	r, err := dial(t, client(pki), addr).Get(t.Context(), remote)
	must(t, err)
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	refused(t, "other bytes", err, "SHA-256")
	wraps(t, "other bytes", err, snapshot.ErrDamaged)
	if n != 1000 {
		t.Errorf("%d bytes came", n)
	}
	short := remote
	short.Size = 2000
	_, err = dial(t, client(pki), addr).Get(t.Context(), short)
	wraps(t, "fewer bytes", err, peer.ErrNoPeer)
}

// A client that reads nothing is disconnected, and does not delay the others.
func TestClientThatReadsNothingIsDisconnected(t *testing.T) {
	pki := newPKI(t)
	b := serveAt(t, listen(t, "127.0.0.1:0"), server(pki), peer.Offer{Name: name, Archive: zeros{}, Size: 256 << 20}, 3*time.Second)
	c := dial(t, client(pki), b.addr)
	remote, err := c.Offer(t.Context())
	must(t, err)
	r, err := c.Get(t.Context(), remote)
	must(t, err)
	defer r.Close()
	_, err = c.Offer(t.Context())
	must(t, err)
	e := b.told(t, "the slow client is cut", func(e peer.Event) bool { return e.Path == "/"+name })
	if !errors.Is(e.Err, snapshot.ErrStalled) || e.Bytes >= remote.Size {
		t.Errorf("told is %+v", e)
	}
	// It wakes up and goes on with what is left.
	if n, err := io.Copy(io.Discard, r); n != remote.Size || err != nil {
		t.Errorf("%d bytes of %d and %v", n, remote.Size, err)
	}
}

// When the context ends, everything stops within the grace period: idle connections immediately, transfers without progress after
// it.
func TestServeStopsWithinItsGracePeriod(t *testing.T) {
	pki := newPKI(t)
	config, err := pki.TLSConfig()
	must(t, err)
	b := serve(t, server(pki), peer.Offer{Name: name, Archive: zeros{}, Size: 256 << 20})
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	for _, path := range []string{"/", "/" + name} { // an idle connection, and one whose client rests
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+b.addr+path, nil)
		must(t, err)
		res, err := web.Do(req)
		must(t, err)
		defer res.Body.Close()
		if path == "/" {
			_, err = io.Copy(io.Discard, res.Body)
			must(t, err)
		}
	}
	half, err := net.Dial("tcp", b.addr) // one that never came to TLS
	must(t, err)
	defer half.Close()
	began := time.Now()
	b.stop()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("ended after %s", took)
	}
	if _, err := net.Dial("tcp", b.addr); err == nil {
		t.Error("still listening")
	}
	e := b.told(t, "the cut transfer is told", func(e peer.Event) bool { return e.Path == "/"+name })
	if e.Err == nil {
		t.Errorf("told is %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := peer.Serve(ctx, listen(t, "127.0.0.1:0"), server(pki), offer([]byte("x")), nil); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// failing is a disk that returns its bytes up to a bad block, after the snapshot was read once.
type failing struct {
	io.ReaderAt
	from   int64
	broken *atomic.Bool
}

var errDisk = errors.New("input/output error")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if f.broken.Load() && off >= f.from {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

// A disk that fails while the snapshot is sent is reported on this side too, for one range and for several.
func TestDiskFails(t *testing.T) {
	pki := newPKI(t)
	data := noise(4 << 20)
	disk := failing{bytes.NewReader(data), 1 << 20, new(atomic.Bool)}
	b := serve(t, server(pki), peer.Offer{Name: name, Archive: disk, Size: int64(len(data))})
	config, err := pki.TLSConfig()
	must(t, err)
	c := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	_, err = dial(t, client(pki), b.addr).Offer(t.Context()) // it has read all for its digest
	must(t, err)
	disk.broken.Store(true)
	for _, ranges := range []string{"", "bytes=0-99,1000000-3000000"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+b.addr+"/"+name, nil)
		must(t, err)
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		res, err := c.Do(r)
		must(t, err)
		if n, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Errorf("ranges %q: all %d bytes of an answer from a broken disk", ranges, n)
		}
		must(t, res.Body.Close())
		want := http.StatusOK
		if ranges != "" {
			want = http.StatusPartialContent
		}
		e := b.told(t, "the answer is told", func(e peer.Event) bool { return e.Status == want && e.Path == "/"+name })
		if !errors.Is(e.Err, errDisk) || !strings.Contains(e.Err.Error(), name) {
			t.Errorf("ranges %q: %v, want the disk's error", ranges, e.Err)
		}
	}
}
