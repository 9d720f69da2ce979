package e2e_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// valve is a TCP proxy before one etcd member. It passes on a number of bytes of the answers and then holds back the rest
// until it is opened: the way to stand in the middle of a stream for as long as a test wants.
type valve struct {
	listener net.Listener
	behind   string
	running  sync.WaitGroup

	mu    sync.Mutex
	cond  *sync.Cond
	left  int64 // bytes that may pass; below zero: any number
	held  int   // readers that wait for more
	shut  bool
	conns []net.Conn
}

// newValve lets so many bytes of answers pass before it holds; all connections together. It is shut with the test.
func newValve(t testing.TB, behind string, bytes int64) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	v := &valve{listener: l, behind: behind, left: bytes}
	v.cond = sync.NewCond(&v.mu)
	v.running.Go(v.accept)
	t.Cleanup(func() {
		v.mu.Lock()
		v.shut = true
		for _, c := range v.conns {
			_ = c.Close() // one side may have closed it
		}
		v.mu.Unlock()
		v.cond.Broadcast()
		_ = v.listener.Close()
		v.running.Wait()
	})
	return v
}

// Endpoint is where the member answers through the valve.
func (v *valve) Endpoint() string { return v.listener.Addr().String() }

// holds waits until something stands before the valve that may not pass.
func (v *valve) holds(t testing.TB) {
	t.Helper()
	eventually(t, "the valve held something back", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.held > 0
	})
}

// open lets all pass from now on.
func (v *valve) open() {
	v.mu.Lock()
	v.left = -1
	v.mu.Unlock()
	v.cond.Broadcast()
}

// allow lets so many more bytes pass.
func (v *valve) allow(bytes int64) {
	v.mu.Lock()
	v.left += bytes
	v.mu.Unlock()
	v.cond.Broadcast()
}

func (v *valve) accept() {
	for {
		c, err := v.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", v.behind)
		if err != nil {
			_ = c.Close() // the client sees that nobody answers
			continue
		}
		if !v.keep(c, server) {
			return
		}
		v.running.Go(func() { v.pass(server, c, false) })
		v.running.Go(func() { v.pass(c, server, true) })
	}
}

// keep notes connections for the end; false: it is there already.
func (v *valve) keep(conns ...net.Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.conns = append(v.conns, conns...)
	if v.shut {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	return !v.shut
}

// pass copies until either side ends, and then ends the other as well.
func (v *valve) pass(to, from net.Conn, metered bool) {
	defer to.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if metered {
			v.await(int64(n))
		}
		if _, writeErr := to.Write(buf[:n]); err != nil || writeErr != nil {
			// A reset is passed on as one: the client shall see what it would have seen.
			if tcp, ok := to.(*net.TCPConn); ok && err != nil && !errors.Is(err, io.EOF) {
				_ = tcp.SetLinger(0)
			}
			return
		}
	}
}

// await takes n bytes of what may pass, and waits for the opening when there are not so many.
func (v *valve) await(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held++
	for v.left >= 0 && v.left < n && !v.shut {
		v.cond.Wait()
	}
	v.held--
	if v.left >= 0 {
		v.left -= n
	}
}

// drip lets a 25th of a solid database pass with each tick, until the process has ended.
func (v *valve) drip(t testing.TB, p *process, every time.Duration) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.allow(solidBytes / 25)
		case <-p.done:
			return
		case <-time.After(endLimit):
			t.Fatalf("%s does not end behind a slow connection", p.cmd)
		}
	}
}
