package member_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// A follower that lags streams its own applied state. After CatchUp its stream has what the cluster acknowledged before.
func TestCatchUpWaitsForAcknowledgedWrites(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			l := etcdtest.RunLag(t, version)
			client, err := l.Leader.Client(t.Context())
			must(t, err)
			defer client.Close()
			l.Hold(t)
			put, err := client.Put(t.Context(), "late", "acknowledged while the follower lags")
			must(t, err)

			m := connect(t, at(plain(l.Cluster), l.Follower.Endpoint))
			if s := m.Source(); !s.Healthy || m.Leader() || s.Revision >= put.Header.Revision {
				t.Fatalf("revision %d with a leader: %t; want a follower that lacks revision %d", s.Revision, s.Healthy, put.Header.Revision)
			}
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := m.CatchUp(short); err == nil || !errors.Is(short.Err(), context.DeadlineExceeded) {
				t.Errorf("a follower that lags: %v, want the deadline", err)
			}
			if holds(t, m, "acknowledged while") {
				t.Error("the follower did not lag")
			}

			l.Release()
			must(t, m.CatchUp(t.Context()))
			if got := m.Source().Revision; got < put.Header.Revision {
				t.Errorf("revision %d, want %d at least", got, put.Header.Revision)
			}
			if !holds(t, m, "acknowledged while") {
				t.Error("after CatchUp the stream lacks the write")
			}
		})
	}
}

// holds reports whether the member's stream has a text.
func holds(t *testing.T, m *member.Member, text string) bool {
	t.Helper()
	var b bytes.Buffer
	must(t, m.Stream(t.Context(), &b, func(int64) {}))
	return bytes.Contains(b.Bytes(), []byte(text))
}

// With users and a certificate or a password, the read needs no more rights than a snapshot; a learner is left to Stream.
func TestCatchUpWithUsersAndOnALearner(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			must(t, connect(t, plain(c)).CatchUp(t.Context()))
			learner, err := c.AddLearner(t.Context())
			must(t, err)
			must(t, connect(t, at(plain(c), learner.Endpoint)).CatchUp(t.Context()))
			nobody := connect(t, plain(c))
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			must(t, connect(t, as(plain(c), "root", "open sesame")).CatchUp(t.Context()))
			// Without the right to read, the member has waited all the same.
			must(t, nobody.CatchUp(t.Context()))
		})
	}
}
