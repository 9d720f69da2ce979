package journal_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/journal"
)

// A snapshot and the journal restore to any revision what the live etcd had there, as each version's own tool and server see it.
func TestMergedDatabaseEqualsTheLiveEtcdAtEveryRevision(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			l := newLoad(b)
			l.run(50)
			states := []state{b.state()} // that the snapshot has, though it is newer
			b.record(0)
			l.run(30)
			states = append(states, b.state())
			l.run(1)
			base, from := b.base()
			for i := range 5 {
				l.run(150)
				states = append(states, b.state())
				if i%2 == 1 {
					b.waitFor(b.head()) // otherwise the segment of this state may know the compaction already
					_, err := b.client.Compact(t.Context(), b.head()-int64(l.rng.IntN(100)))
					must(t, err)
				}
				if i == 2 {
					_, err := b.client.Defragment(t.Context(), b.cluster.Members[0].ClientURL)
					must(t, err)
				}
				l.run(20)
				states = append(states, b.state())
			}
			b.waitFor(b.head())
			must(t, b.stop())
			r := newTarget(t, version)
			for _, s := range states {
				merged, m, err := merge(t, base, open(t, b.store, journal.Follow(b.names(), from)), s.revision)
				must(t, err)
				t.Logf("%+v: %+v", s, m)
				r.restore(merged)
				if now := etcdNow(t, r.client); now != s.revision {
					t.Errorf("the restored etcd is at revision %d, not %d", now, s.revision)
				}
				r.want(s)
			}
		})
	}
}

func etcdNow(t *testing.T, c *clientv3.Client) int64 {
	t.Helper()
	r, err := c.Get(t.Context(), "x")
	must(t, err)
	return r.Header.Revision
}
