package journal_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// merged makes the database of the newest revision in the journal.
func (b *bed) merged(base string, from int64) (string, journal.Merged) {
	b.t.Helper()
	b.waitFor(b.head())
	must(b.t, b.stop())
	path, m, err := merge(b.t, base, open(b.t, b.store, journal.Follow(b.names(), from)), 0)
	must(b.t, err)
	return path, m
}

// compact compacts the live etcd at a revision that the journal has, and then puts a key until a segment knows it.
func (b *bed) compact(revision int64) {
	b.t.Helper()
	b.waitFor(revision) // etcd compacts also what a watch has not seen yet
	_, err := b.client.Compact(b.t.Context(), revision, clientv3.WithCompactPhysical())
	must(b.t, err)
	for limit := time.Now().Add(time.Minute); ; {
		_, err := b.client.Put(b.t.Context(), "tick", "")
		must(b.t, err)
		b.waitFor(b.head())
		all := open(b.t, b.store, b.names())
		for _, s := range all {
			if s.Compacted >= revision {
				return
			}
		}
		if time.Now().After(limit) {
			b.t.Fatal("no segment knows the compaction")
		}
	}
}

// The merge drops what the live etcd compacted, and nothing else: also where the compaction is at a deletion, and with changes on both sides.
func TestMergeKeepsWhatACompactionKeeps(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			r := newTarget(t, version)
			l := newLoad(b)
			l.run(100)
			b.record(0)
			base, from := b.base()
			l.run(100)
			for _, key := range []string{"tombstone", "deleted and put"} {
				_, err := b.client.Put(t.Context(), key, "x")
				must(t, err)
			}
			_, err := b.client.Delete(t.Context(), "deleted and put")
			must(t, err)
			_, err = b.client.Put(t.Context(), "deleted and put", "y")
			must(t, err)
			d, err := b.client.Delete(t.Context(), "tombstone")
			must(t, err)
			b.compact(d.Header.Revision)
			l.run(60)
			s := b.state()
			path, m := b.merged(base, from)
			if m.Compacted != d.Header.Revision {
				t.Errorf("compacted at %d, not %d", m.Compacted, d.Header.Revision)
			}
			r.restore(path)
			if now := hashKV(t, r.client, r.cluster.Members[0].ClientURL, s.revision); now != s {
				t.Errorf("the restored etcd has %+v, the live one had %+v", now, s)
			}
		})
	}
}

// A snapshot and the journal up to the next snapshot have the entries of that snapshot.
func TestSnapshotAndJournalEqualTheNextSnapshot(t *testing.T) {
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	l := newLoad(b)
	l.run(100)
	b.record(0)
	base, from := b.base()
	l.run(200)
	b.compact(b.head() - 50)
	l.run(50)
	next, revision := b.base()
	path, m := b.merged(base, from)
	if m.Revision != revision {
		t.Fatalf("merged to %d, the next snapshot is at %d", m.Revision, revision)
	}
	want, got := entries(t, next), entries(t, path)
	if len(want) != len(got) {
		t.Errorf("%d entries, not %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%x is %q, not %q", k, got[k], v)
		}
	}
}

func entries(t testing.TB, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	all := map[string]string{}
	must(t, snapshot.ViewDatabase(f, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("key")).ForEach(func(k, v []byte) error {
			all[string(k)] = string(v)
			return nil
		})
	}))
	return all
}

// A key whose lease the snapshot does not have would never expire, and a put that keeps its lease would end etcd at each start.
func TestLeasesOfTheJournalAreRestored(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel() // it waits for a lease
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			b.record(0)
			base, from := b.base()
			put := func(key string, ttl int64) clientv3.LeaseID {
				g, err := b.client.Grant(t.Context(), ttl)
				must(t, err)
				_, err = b.client.Put(t.Context(), key, "x", clientv3.WithLease(g.ID))
				must(t, err)
				return g.ID
			}
			short, long := put("short", 20), put("long", 3600)
			gone := put("gone", 3600)
			_, err := b.client.Revoke(t.Context(), gone)
			must(t, err)
			b.waitFor(b.head())
			for len(recorded(t, b)) < 2 { // the answers come after the events
				_, err = b.client.Put(t.Context(), "tick", "")
				must(t, err)
				b.waitFor(b.head())
			}
			path, m := b.merged(base, from)
			if m.Leases != 2 {
				t.Errorf("%d leases were added", m.Leases)
			}
			r := newTarget(t, version)
			r.restore(path)
			ttl, err := r.client.TimeToLive(t.Context(), long, clientv3.WithAttachedKeys())
			must(t, err)
			if ttl.GrantedTTL != 3600 || len(ttl.Keys) != 1 {
				t.Errorf("the lease is %+v", ttl)
			}
			if ttl, err := r.client.TimeToLive(t.Context(), short); err != nil || ttl.GrantedTTL != 20 {
				t.Errorf("the short lease is %+v, %v", ttl, err)
			}
			_, err = r.client.Put(t.Context(), "long", "y", clientv3.WithIgnoreLease())
			must(t, err)
			for key := "short"; ; {
				got, err := r.client.Get(t.Context(), key)
				must(t, err)
				if got.Count == 0 {
					break
				}
				time.Sleep(200 * time.Millisecond)
			}
			must(t, r.cluster.Members[0].Kill())
			must(t, r.cluster.Members[0].Restart(t.Context()))
			got, err := r.client.Get(t.Context(), "long")
			must(t, err)
			if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "y" || got.Kvs[0].Lease != int64(long) {
				t.Errorf("after a restart: %v", got.Kvs)
			}
		})
	}
}

// recorded are the leases in the journal.
func recorded(t testing.TB, b *bed) map[int64]int64 {
	t.Helper()
	all := map[int64]int64{}
	for _, s := range open(t, b.store, b.names()) {
		must(t, s.Each(t.Context(), func(r journal.Record) error {
			if r.Kind == journal.KindLease {
				all[r.Lease] = r.TTL
			}
			return nil
		}))
	}
	return all
}

// A snapshot of an etcd that was out of space restores to one that takes writes.
func TestNoSpaceAlarmIsNotRestored(t *testing.T) {
	b := newBed(t, etcdtest.Options{QuotaBytes: 4 << 20, UnsafeNoFsync: true})
	b.record(0)
	for i := 0; ; i++ {
		if _, err := b.client.Put(t.Context(), "big", fmt.Sprint(i)+strings.Repeat("x", 500_000)); err != nil {
			break
		}
	}
	alarms, err := b.client.AlarmList(t.Context())
	must(t, err)
	if len(alarms.Alarms) != 1 {
		t.Fatalf("the alarms are %v", alarms.Alarms)
	}
	base, from := b.base()
	path, _ := b.merged(base, from)
	r := newTarget(t, etcdtest.Default)
	r.restore(path)
	_, err = r.client.Put(t.Context(), "k", "v")
	must(t, err)
}

// An hour of changes may be many times the quota. The merged database is as small as the compactions allow, so that an etcd with the same quota takes writes.
func TestMergedDatabaseFitsInTheQuotaOfItsEtcd(t *testing.T) {
	const quota = 24 << 20
	b := newBed(t, etcdtest.Options{QuotaBytes: quota, UnsafeNoFsync: true})
	b.record(0)
	base, from := b.base()
	for i := range 120 {
		_, err := b.client.Put(t.Context(), fmt.Sprint("big-", i%3), fmt.Sprint(i)+strings.Repeat("x", 400_000))
		must(t, err)
		if i%6 == 5 {
			b.compact(b.head())
		}
	}
	path, m := b.merged(base, from)
	if info, err := os.Stat(path); err != nil || info.Size() > quota/3 {
		t.Errorf("%d events, compacted at %d: the database has %d bytes, %v", m.Events, m.Compacted, info.Size(), err)
	}
	c := etcdtest.Run(t, etcdtest.Options{QuotaBytes: quota})
	r := &target{t, c, etcdtest.Dial(t, c)}
	r.restore(path)
	_, err := r.client.Put(t.Context(), "big-0", strings.Repeat("y", 400_000))
	must(t, err)
}

// A snapshot with many revisions of a key, in pages of all sizes, and compactions of them: at its newest revision, around it, and far behind it. The merged
// database has the entries of the live one, its pages are intact, and it is not larger than the snapshot.
func TestMergeRemovesWhatCompactionsRemoveOfALargeSnapshot(t *testing.T) {
	for _, version := range []string{etcdtest.Versions()[0], etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			n := 0
			change := func(times int) {
				for range times {
					n++
					key, size := fmt.Sprint("key-", n*n%701), 10+n%300
					if n%50 == 0 {
						size = 200_000
					}
					var err error
					if n%11 == 0 {
						_, err = b.client.Delete(t.Context(), key)
					} else {
						_, err = b.client.Put(t.Context(), key, strings.Repeat("v", size))
					}
					must(t, err)
				}
			}
			change(7000)
			b.record(0)
			base, from := b.base()
			info, err := os.Stat(base)
			must(t, err)
			change(50)
			equal := func() {
				next, revision := b.base()
				b.waitFor(revision)
				path, m, err := merge(t, base, open(t, b.store, journal.Follow(b.names(), from)), revision)
				must(t, err)
				want, got := entries(t, next), entries(t, path)
				for k := range want {
					if got[k] != want[k] {
						t.Fatalf("compacted at %d: the entry %x is %.40q, not %.40q", m.Compacted, k, got[k], want[k])
					}
				}
				for k := range got {
					if k == string(etcdtest.Revision(uint64(m.Compacted), 0))+"t" { // a deletion at the compaction: some versions keep it
						delete(got, k)
						delete(want, k)
					} else if _, there := want[k]; !there {
						t.Errorf("compacted at %d, the snapshot is at %d: the entry %x of %.40q is not in the live etcd", m.Compacted, from, k, got[k])
					}
				}
				if len(got) != len(want) {
					t.Fatalf("compacted at %d: %d entries, not %d", m.Compacted, len(got), len(want))
				}
				f, err := os.Open(path)
				must(t, err)
				if d, err := snapshot.Inspect(t.Context(), f); err != nil || d.Revision != revision {
					t.Errorf("compacted at %d: %+v, %v", m.Compacted, d, err)
				}
				if now, err := os.Stat(path); err != nil || m.Compacted >= from && now.Size() > info.Size() {
					t.Errorf("compacted at %d: the database has grown from %d to %d bytes, %v", m.Compacted, info.Size(), now.Size(), err)
				}
			}
			equal()
			for _, compacted := range []int64{from / 2, from - 1, from, from + 1, from + 40} {
				b.compact(compacted)
				equal()
			}
			change(200)
			b.compact(b.head())
			equal()
			must(t, b.stop())
		})
	}
}
