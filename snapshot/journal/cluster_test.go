package journal_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// at is the bed seen from another member, with a journal of its own node in the same directory.
func (b *bed) at(m *etcdtest.Member, node string) *bed {
	b.t.Helper()
	c, err := member.Connect(b.t.Context(), member.Config{Endpoints: []string{m.Endpoint}, Timeout: 20 * time.Second})
	must(b.t, err)
	b.t.Cleanup(func() { must(b.t, c.Close()) })
	other := &bed{t: b.t, cluster: b.cluster, client: b.client, member: c, store: b.store, options: b.options, sealed: make(chan struct{})}
	other.options.Node, other.options.MemberID, other.options.Sealed = node, c.Source().MemberID, other.onSealed
	return other
}

// follow continues the journal where it ends in the directory.
func (b *bed) follow() {
	b.t.Helper()
	last, digest, err := resume(b.t.Context(), b.store)
	must(b.t, err)
	b.recordAfter(last, digest)
}

// Segments of two nodes that record at the same time overlap, and each may be missing where the other one is there.
func TestSegmentsOfTwoNodesMakeOneJournal(t *testing.T) {
	for _, version := range []string{etcdtest.Versions()[0], etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			a := newBed(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
			a.options.Seal = 30 * time.Millisecond
			b := a.at(a.cluster.Members[1], "node-b")
			base, from := a.base()
			start := a.head()
			a.record(start)
			b.record(start)
			l := newLoad(a)
			var ofA, ofB []snapshot.SegmentName
			var head int64
			for len(ofA) < 3 || len(ofB) < 3 {
				l.run(150)
				head = a.head()
				a.waitFor(head)
				b.waitFor(head)
				ofA, ofB = a.of("node-a"), a.of("node-b")
			}
			must(t, a.stop())
			must(t, b.stop())
			etcdtest.Settle(t, a.cluster)
			want := hashKV(t, a.client, a.cluster.Members[2].ClientURL, head)
			r := newTarget(t, version)
			for what, names := range map[string][]snapshot.SegmentName{
				"all":                    a.names(),
				"one of a":               append([]snapshot.SegmentName{ofA[1]}, ofB...),
				"all but of b":           append(ofB[:1:1], ofA...),
				"begun by a, ended by b": changed(ofA, ofB),
			} {
				path, m, err := merge(t, base, open(t, a.store, journal.Follow(names, from)), 0)
				must(t, err)
				if m.Revision != head {
					t.Errorf("%s: to revision %d, not %d", what, m.Revision, head)
					continue
				}
				r.restore(path)
				r.want(want)
			}
		})
	}
}

// of lists the segments of a node in their order.
func (b *bed) of(node string) []snapshot.SegmentName {
	all := slices.SortedFunc(slices.Values(b.names()), snapshot.CompareSegments)
	return slices.DeleteFunc(all, func(n snapshot.SegmentName) bool { return n.Node != node })
}

// changed are the first half of a, and what of b goes beyond it.
func changed(a, b []snapshot.SegmentName) []snapshot.SegmentName {
	names := slices.Clone(a[:len(a)/2])
	end := names[len(names)-1].Last
	for _, n := range b {
		if n.Last > end {
			names = append(names, n)
		}
	}
	return names
}

// A member that is replaced by a new one takes the journal on: the cluster is the same.
func TestJournalGoesOnWithAReplacedMember(t *testing.T) {
	a := newBed(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	base, from := a.base()
	a.record(0)
	l := newLoad(a)
	l.run(100)
	a.waitFor(a.head())
	must(t, a.stop())
	learner, err := a.cluster.AddLearner(t.Context())
	must(t, err)
	admin, err := a.cluster.Members[1].Client(t.Context())
	must(t, err)
	defer admin.Close()
	must(t, a.cluster.Members[0].Kill())
	a.client = admin
	changeMembers(t, rpctypes.ErrMemberNotFound, func(ctx context.Context) error {
		_, err := admin.MemberRemove(ctx, uint64(a.member.Source().MemberID))
		return err
	})
	list, err := admin.MemberList(t.Context())
	must(t, err)
	for _, m := range list.Members {
		if m.IsLearner {
			changeMembers(t, rpctypes.ErrMemberNotLearner, func(ctx context.Context) error {
				_, err := admin.MemberPromote(ctx, m.ID)
				return err
			})
		}
	}
	l.run(100)
	b := a.at(learner, "node-new")
	if b.options.MemberID == a.options.MemberID || b.member.Source().ClusterID != a.options.ClusterID {
		t.Fatalf("the member %s of %s follows %s", b.options.MemberID, b.member.Source().ClusterID, a.options.MemberID)
	}
	b.follow()
	l.run(100)
	head := a.head()
	b.waitFor(head)
	must(t, b.stop())
	path, m, err := merge(t, base, open(t, a.store, journal.Follow(a.names(), from)), 0)
	must(t, err)
	want := hashKV(t, admin, a.cluster.Members[1].ClientURL, head)
	if got := hashOf(t, path, head); m.Revision != head || got != want.hash {
		t.Errorf("revision %d with the hash %d, etcd has %d with %d", m.Revision, got, head, want.hash)
	}
}

// changeMembers repeats a change until it succeeds. Its first answer may get lost with the leader, and etcd waits for that without end: done is the
// error of a change that was made already.
func changeMembers(t testing.TB, done error, change func(context.Context) error) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := change(ctx)
		cancel()
		if err == nil || errors.Is(err, done) {
			return
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}

// A journal that goes on at a member that lags waits for the member, and has no gap then.
func TestJournalGoesOnAtAMemberThatLags(t *testing.T) {
	for _, version := range []string{etcdtest.Versions()[0], etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			lag := etcdtest.RunLag(t, version)
			a := newBedOf(t, lag.Cluster, lag.Leader)
			client, err := lag.Leader.Client(t.Context())
			must(t, err)
			defer client.Close()
			a.client = client
			base, from := a.base()
			a.record(0)
			l := newLoad(a)
			l.run(50)
			lag.Hold(t)
			l.run(50)
			last := a.head()
			a.waitFor(last)
			must(t, a.stop())
			b := a.at(lag.Follower, "node-b")
			if s := b.member.Source(); s.Revision >= last {
				t.Fatalf("the follower is at revision %d, and so does not lag", s.Revision)
			}
			b.follow()
			l.run(50)
			lag.Release()
			head := a.head()
			b.waitFor(head)
			must(t, b.stop())
			path, m, err := merge(t, base, open(t, a.store, journal.Follow(a.names(), from)), 0)
			must(t, err)
			r := newTarget(t, version)
			r.restore(path)
			r.want(hashKV(t, client, lag.Leader.ClientURL, head))
			if m.Revision != head {
				t.Errorf("merged to revision %d, not %d", m.Revision, head)
			}
		})
	}
}

// A user who may read all keys may record; a snapshot by root is the base.
func TestJournalOfAUserWhoMayReadAllKeys(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			for _, err := range []error{
				last(b.client.UserAdd(t.Context(), "reader", "secret")),
				last(b.client.RoleAdd(t.Context(), "reader")),
				last(b.client.RoleGrantPermission(t.Context(), "reader", "\x00", "\x00", clientv3.PermissionType(clientv3.PermRead))),
				last(b.client.UserGrantRole(t.Context(), "reader", "reader")),
				b.cluster.EnableAuth(t.Context(), "open sesame"),
			} {
				must(t, err)
			}
			b.client = etcdtest.Dial(t, b.cluster) // root
			m, err := member.Connect(t.Context(), member.Config{
				Endpoints: []string{b.cluster.Members[0].Endpoint}, Timeout: 20 * time.Second, User: "reader", Password: "secret",
			})
			must(t, err)
			t.Cleanup(func() { must(t, m.Close()) })
			l := newLoad(b)
			l.run(50)
			root, err := member.Connect(t.Context(), member.Config{
				Endpoints: []string{b.cluster.Members[0].Endpoint}, Timeout: 20 * time.Second, User: "root", Password: "open sesame",
			})
			must(t, err)
			t.Cleanup(func() { must(t, root.Close()) })
			b.member = m
			b.record(b.head())
			b.member = root
			base, from := b.base()
			l.run(150)
			b.compact(b.head() - 30)
			l.run(50)
			g, err := b.client.Grant(t.Context(), 3600)
			must(t, err)
			_, err = b.client.Put(t.Context(), "leased", "x", clientv3.WithLease(g.ID))
			must(t, err)
			for recorded(t, b)[int64(g.ID)] != 3600 {
				_, err = b.client.Put(t.Context(), "tick", "")
				must(t, err)
				b.waitFor(b.head())
			}
			s := b.state()
			path, merged := b.merged(base, from)
			if merged.Compacted == 0 {
				t.Error("the journal does not know the compaction")
			}
			if got := hashOf(t, path, s.revision); got != s.hash {
				t.Errorf("the hash of revision %d is %d, etcd has %d", s.revision, got, s.hash)
			}
		})
	}
}

func last[T any](_ T, err error) error { return err }
