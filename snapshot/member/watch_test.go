package member_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// watch opens one until the end of the test.
func watch(t testing.TB, m *member.Member, from int64) *member.Watch {
	t.Helper()
	w, err := m.Watch(t.Context(), from)
	must(t, err)
	return w
}

// receive reads events until that of a revision, and returns them with how many responses were continued by another one.
func receive(t testing.TB, w *member.Watch, last int64) (events []string, fragments int) {
	t.Helper()
	for {
		r, err := w.Recv()
		must(t, err)
		for _, e := range r.Events {
			events = append(events, fmt.Sprintf("%d %s %.10s", e.Kv.ModRevision, e.Kv.Key, e.Kv.Value))
		}
		if r.Fragment {
			fragments++
		} else if n := len(r.Events); n > 0 && r.Events[n-1].Kv.ModRevision >= last {
			return events, fragments
		}
	}
}

func put(t testing.TB, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	r, err := c.Put(t.Context(), key, value)
	must(t, err)
	return r.Header.Revision
}

// A watch from the past shows what was before in order, in several messages where it is much, and then what is new.
func TestWatchShowsThePastInFragmentsAndThenTheFuture(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			first := put(t, client, "a", "1")
			large := strings.Repeat("x", 1_000_000)
			var last int64
			for range 5 {
				last = put(t, client, "large", large)
			}
			w := watch(t, connect(t, plain(c)), first)
			if w.Head != last {
				t.Errorf("the head is %d, not %d", w.Head, last)
			}
			events, fragments := receive(t, w, last)
			if len(events) != 6 || events[0] != fmt.Sprintf("%d a 1", first) || fragments == 0 {
				t.Errorf("%d fragments of %q", fragments, events)
			}
			last = put(t, client, "b", "2")
			if events, _ := receive(t, w, last); len(events) != 1 || events[0] != fmt.Sprintf("%d b 2", last) {
				t.Errorf("then %q", events)
			}
		})
	}
}

// The compaction is learned from a revision before it, and a watch may begin with it, but not before.
func TestWatchOfACompactedRevisionIsRefused(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			m := connect(t, plain(c))
			compacted := func(known, want int64) {
				t.Helper()
				if got, err := m.Compacted(t.Context(), known); err != nil || got != want {
					t.Errorf("Compacted(%d): %d, %v; want %d", known, got, err, want)
				}
			}
			first := put(t, client, "a", "1")
			compacted(0, 0)
			var middle, last int64
			for i := range 20 {
				if last = put(t, client, "a", fmt.Sprint(i)); i == 10 {
					middle = last
				}
			}
			for _, at := range []int64{middle, last} {
				_, err := client.Compact(t.Context(), at)
				must(t, err)
				compacted(0, at)
				compacted(first, at)
				compacted(middle, at)
				compacted(at, at)
				if w, err := m.Watch(t.Context(), at-1); err == nil {
					if _, err = w.Recv(); !errors.Is(err, member.ErrCompacted) {
						t.Errorf("a watch before the compaction: %v", err)
					}
				} else if !errors.Is(err, member.ErrCompacted) {
					t.Errorf("a watch before the compaction: %v", err)
				}
			}
			if events, _ := receive(t, watch(t, m, last), last); len(events) != 1 {
				t.Errorf("a watch from the compaction shows %q", events)
			}
		})
	}
}

func TestLeaseTTLIsWhatWasGranted(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			m := connect(t, plain(c))
			g, err := client.Grant(t.Context(), 3600)
			must(t, err)
			if ttl, err := m.LeaseTTL(t.Context(), int64(g.ID)); err != nil || ttl != 3600 {
				t.Errorf("%d s, %v", ttl, err)
			}
			_, err = client.Revoke(t.Context(), g.ID)
			must(t, err)
			if ttl, err := m.LeaseTTL(t.Context(), int64(g.ID)); err != nil || ttl != 0 {
				t.Errorf("a revoked lease: %d s, %v", ttl, err)
			}
		})
	}
}

// Without a quorum a watch would go on in silence.
func TestWatchEndsWithoutALeader(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
			etcdtest.Settle(t, c)
			m := connect(t, plain(c))
			w := watch(t, m, 1)
			loseQuorum(t, c)
			var err error
			for err == nil {
				_, err = w.Recv()
			}
			if !errors.Is(err, member.ErrNoLeader) {
				t.Errorf("the watch ended with: %v", err)
			}
			if _, err := m.Watch(t.Context(), 1); !errors.Is(err, member.ErrNoLeader) {
				t.Errorf("a new watch: %v", err)
			}
		})
	}
}

func TestWatchEndsWithItsContextOrItsMember(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	m := connect(t, plain(c))
	ctx, cancel := context.WithCancel(t.Context())
	w, err := m.Watch(ctx, 0)
	must(t, err)
	time.AfterFunc(100*time.Millisecond, cancel)
	if r, err := w.Recv(); err == nil {
		t.Errorf("after its context: %v", r)
	}
	w = watch(t, m, 0)
	must(t, c.Members[0].Kill())
	if r, err := w.Recv(); err == nil {
		t.Errorf("of a killed member: %v", r)
	}
}

// addUser makes a user with the right to read a range of keys.
func addUser(t testing.TB, c *clientv3.Client, name, from, to string) {
	t.Helper()
	_, err := c.UserAdd(t.Context(), name, name+"'s")
	must(t, err)
	_, err = c.RoleAdd(t.Context(), name)
	must(t, err)
	_, err = c.RoleGrantPermission(t.Context(), name, from, to, clientv3.PermissionType(clientv3.PermRead))
	must(t, err)
	_, err = c.UserGrantRole(t.Context(), name, name)
	must(t, err)
}

// A user who may read all keys may do all that the journal needs; one who may read some gets an error that says so.
func TestWatchNeedsTheRightToReadAllKeys(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			addUser(t, client, "reader", "\x00", "\x00")
			addUser(t, client, "some", "a", "b")
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			root := etcdtest.Dial(t, c)
			g, err := root.Grant(t.Context(), 3600)
			must(t, err)
			_, err = root.Put(t.Context(), "a", "1", clientv3.WithLease(g.ID))
			must(t, err)
			last := put(t, root, "b", "2")
			m := connect(t, as(plain(c), "reader", "reader's"))
			if events, _ := receive(t, watch(t, m, last-1), last); len(events) != 2 {
				t.Errorf("the watch shows %q", events)
			}
			if ttl, err := m.LeaseTTL(t.Context(), int64(g.ID)); err != nil || ttl != 3600 {
				t.Errorf("the lease: %d s, %v", ttl, err)
			}
			_, err = root.Compact(t.Context(), last)
			must(t, err)
			if at, err := m.Compacted(t.Context(), 0); err != nil || at != last {
				t.Errorf("Compacted: %d, %v", at, err)
			}
			_, err = connect(t, as(plain(c), "some", "some's")).Watch(t.Context(), last)
			if !errors.Is(err, member.ErrReadRights) {
				t.Errorf("a watch of a user who may read some keys: %v", err)
			}
		})
	}
}

// What no etcd answers ends the watch, and does not hang or crash.
func TestWatchOfAnotherServerFails(t *testing.T) {
	known := &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 1}}
	created := &pb.WatchResponse{Header: known.Header, Created: true}
	for what, c := range map[string]struct {
		answers []*pb.WatchResponse
		want    string
	}{
		"it does not create the watch": {[]*pb.WatchResponse{{}}, "not created"},
		"it ends the watch":            {[]*pb.WatchResponse{created, {Canceled: true, CancelReason: "for fun"}}, "for fun"},
		"it ends the stream":           {[]*pb.WatchResponse{created}, "EOF"},
		"it ends the stream at once":   {nil, "EOF"},
		"it has no leader":             {[]*pb.WatchResponse{created, {Canceled: true, CancelReason: "etcdserver: no leader"}}, "no leader"},
	} {
		m := connect(t, (&impostor{status: known, members: &pb.MemberListResponse{}, watch: c.answers}).start(t))
		w, err := m.Watch(t.Context(), 1)
		if err == nil {
			_, err = w.Recv()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
