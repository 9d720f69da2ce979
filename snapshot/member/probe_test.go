package member_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// A probe needs no more rights than a snapshot, and none of the quorum's.
func TestProbeIsAnswered(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			p, err := connect(t, plain(c)).NewProbe(t.Context())
			must(t, err)
			must(t, p.Probe(t.Context()))
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			// Nobody may read a key any more. Newer versions do not answer with their status either; a snapshot would fail, too.
			if err := p.Probe(t.Context()); (err == nil) != (version == "3.4") {
				t.Errorf("without a user: %v", err)
			}
			must(t, p.Close())
			root, err := connect(t, as(plain(c), "root", "open sesame")).NewProbe(t.Context())
			must(t, err)
			must(t, root.Probe(t.Context()))
			must(t, root.Close())
		})
	}
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	p, err := connect(t, plain(c)).NewProbe(t.Context())
	must(t, err)
	for _, x := range c.Members[1:] {
		must(t, x.Kill())
	}
	must(t, p.Probe(t.Context()))
	must(t, p.Close())
}

func TestProbeOfASilentMemberEndsWithItsContext(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	p, err := connect(t, plain(c)).NewProbe(t.Context())
	must(t, err)
	must(t, p.Probe(t.Context()))
	must(t, c.Members[0].Pause())
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Probe(short); err == nil || !errors.Is(short.Err(), context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	must(t, p.Close())
	must(t, c.Members[0].Resume())
}
