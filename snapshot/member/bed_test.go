package member_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// The configuration's Timeout: answerLimit where etcd answers, however busy the machine is, and silenceLimit where it does not.
const (
	answerLimit  = 30 * time.Second
	silenceLimit = 3 * time.Second
)

// oldest and newest are the first and last etcd version supported; other versions behave like one of them.
func oldestAndNewest() []string {
	v := etcdtest.Versions()
	return []string{v[0], v[len(v)-1]}
}

// plain connects to the cluster's first voter without certificates.
func plain(c *etcdtest.Cluster) member.Config {
	return member.Config{Endpoints: []string{c.Members[0].Endpoint}, Timeout: answerLimit}
}

// mutual connects to the cluster's first voter with its CA and client certificate.
func mutual(c *etcdtest.Cluster) member.Config {
	cfg := plain(c)
	cfg.CACert, cfg.Cert, cfg.Key = c.PKI.CACert, c.PKI.Client.Cert, c.PKI.Client.Key
	return cfg
}

// at is cfg with other endpoints.
func at(cfg member.Config, endpoints ...string) member.Config {
	cfg.Endpoints = endpoints
	return cfg
}

// connect fails the test if the member cannot be reached.
func connect(t testing.TB, cfg member.Config) *member.Member {
	t.Helper()
	m, err := member.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, m.Close()) })
	return m
}

// download reads a whole snapshot stream, as a test of the connection, and returns its length.
func download(ctx context.Context, m *member.Member) (int64, error) {
	var n counter
	var told int64
	err := m.Stream(ctx, &n, func(size int64) { told = size })
	if err == nil && told != int64(n) {
		return int64(n), &sizeError{told: told, came: int64(n)}
	}
	return int64(n), err
}

// closedPort is an address of 127.0.0.1 where nothing listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	must(t, l.Close())
	return l.Addr().String()
}

// silentPort is an address that accepts connections and never answers.
func silentPort(t testing.TB) string {
	t.Helper()
	return serve(t, "127.0.0.1:0", func(net.Conn) {})
}

// resettingPort is an address that closes connections with unread data.
func resettingPort(t testing.TB) string {
	t.Helper()
	return serve(t, "127.0.0.1:0", func(c net.Conn) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // the words that are wanted show whether it has reset
		}
		_, _ = c.Read(make([]byte, 1)) // ends with either side
		_ = c.Close()
	})
}

// elsewhere is an address with another host, which forwards to the one of endpoint.
func elsewhere(t testing.TB, endpoint string) string {
	t.Helper()
	return serve(t, "127.0.0.2:0", func(c net.Conn) {
		behind, err := net.Dial("tcp", endpoint)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(behind, c) // ends with either connection
			_ = behind.Close()
		}()
		_, _ = io.Copy(c, behind)
		_ = c.Close()
	})
}

// serve handles each connection to a new address in its own goroutine, and closes them all with the test.
func serve(t testing.TB, address string, handle func(net.Conn)) string {
	t.Helper()
	l := listen(t, address)
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close() // with the listener
			handlers.Go(func() { handle(c) })
		}
	})
	t.Cleanup(func() {
		must(t, l.Close())
		handlers.Wait()
	})
	return l.Addr().String()
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	return l
}

// eventually repeats the check until the condition holds; it fails the test if that takes too long.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
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
