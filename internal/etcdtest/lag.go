package etcdtest

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/fusetest"
)

// Lag is a cluster of three with a follower that can be held back: the disk of its write-ahead log stops. It then applies nothing more,
// while its client port and its connections to the others stay open, and the others acknowledge writes.
type Lag struct {
	*Cluster
	Leader, Follower *Member

	mu    sync.Mutex
	held  chan struct{} // closed on release; nil: not held
	waits func()        // called by each write that waits
}

// RunLag starts one for a test, with more flags of etcd.
func RunLag(t testing.TB, version string, flags ...string) *Lag {
	t.Helper()
	l := &Lag{}
	dir := fusetest.Mount(t, fusetest.Options{Fail: l.stop})
	l.Cluster = Run(t, Options{Version: version, Members: 3, Dir: dir, UnsafeNoFsync: true, Flags: flags})
	t.Cleanup(l.Release) // a process that waits for its disk can't be killed
	client := Dial(t, l.Cluster)
	for _, m := range l.Members {
		s, err := client.Status(t.Context(), m.ClientURL)
		if err != nil {
			t.Fatal(fmt.Errorf("find the leader: %w", err))
		}
		if s.Leader == s.Header.MemberId {
			l.Leader = m
		} else {
			l.Follower = m
		}
	}
	if l.Leader == nil || l.Follower == nil {
		t.Fatal("the cluster has no leader")
	}
	return l
}

// Hold stops the follower's disk and returns when the follower waits for it. Until then it could still apply a write: etcd applies what
// is committed while it writes it to its log.
func (l *Lag) Hold(t testing.TB) {
	t.Helper()
	waits := make(chan struct{})
	l.mu.Lock()
	l.held, l.waits = make(chan struct{}), sync.OnceFunc(func() { close(waits) })
	l.mu.Unlock()
	client, err := l.Leader.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(t.Context(), "held", ""); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waits:
	case <-t.Context().Done():
		t.Fatal("the follower does not write to its log")
	}
}

// Release lets it go on; it does nothing if it was not held.
func (l *Lag) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

// stop makes a write to the follower's log wait.
func (l *Lag) stop(op fusetest.Op, name string) syscall.Errno {
	l.mu.Lock()
	held, waits := l.held, l.waits
	l.mu.Unlock()
	if held != nil && op == fusetest.Write && strings.HasPrefix(name, l.Follower.Name+"/data/member/wal/") {
		waits()
		<-held
	}
	return 0
}
