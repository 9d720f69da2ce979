package drill_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// recorded is an etcd with a journal between two snapshots and behind the second.
type recorded struct {
	cluster    *etcdtest.Cluster
	client     *clientv3.Client
	base, next string // the journal leads from one to the other,
	later      string // and on to this one
	last       int64
	bundle     *os.File
	sections   []journal.Section
	size       int64
	chain      []*journal.Segment
}

func record(t *testing.T, version string) *recorded {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
	r := &recorded{cluster: c, client: etcdtest.Dial(t, c)}
	m, err := member.Connect(t.Context(), member.Config{Endpoints: []string{c.Members[0].ClientURL}, Timeout: 10 * time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	r.change(t, 40)
	dir := snapshot.NewDir(t.TempDir())
	wait, stop := r.record(t, m, dir)
	r.base = take(t, c.Members[0], "", "")
	last := r.change(t, 60)
	wait(last) // a compaction takes what a watch has not seen yet
	_, err = r.client.Compact(t.Context(), last-20, clientv3.WithCompactPhysical())
	must(t, err)
	r.next = take(t, c.Members[0], "", "")
	r.last = r.change(t, 30)
	wait(r.last)
	stop()
	r.later = take(t, c.Members[0], "", "")
	l, err := dir.List()
	must(t, err)
	for _, e := range l.Segments {
		f, err := dir.OpenSegment(e.Name)
		must(t, err)
		t.Cleanup(func() { must(t, f.Close()) })
		s, err := journal.Open(f, e.Size)
		must(t, err)
		r.chain, r.size = append(r.chain, s), r.size+s.RawSize
	}
	r.bundle, err = os.Create(filepath.Join(t.TempDir(), "bundle"))
	must(t, err)
	t.Cleanup(func() { must(t, r.bundle.Close()) })
	r.sections, err = journal.Bundle(r.bundle, r.chain)
	must(t, err)
	if len(r.sections) < 2 {
		t.Fatalf("there are only %d segments", len(r.sections))
	}
	return r
}

// change makes changes of each kind, and returns the last revision.
func (r *recorded) change(t *testing.T, n int) (last int64) {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("/key/%02d", i%13)
		p, err := r.client.Put(t.Context(), key, fmt.Sprint(i, strings.Repeat("value", 100)))
		must(t, err)
		last = p.Header.Revision
		if i%5 == 4 {
			d, err := r.client.Delete(t.Context(), key)
			must(t, err)
			last = d.Header.Revision
		}
	}
	return last
}

// record records until stop is called. wait waits for a revision in a complete segment.
func (r *recorded) record(t *testing.T, m *member.Member, dir *snapshot.Dir) (wait func(int64), stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	head, err := r.client.Get(ctx, "x")
	must(t, err)
	w, err := m.Watch(ctx, head.Header.Revision)
	must(t, err)
	src, sealed, ended := m.Source(), make(chan int64, 1000), make(chan error, 1)
	o := journal.Options{
		Header: journal.Header{Node: "node-a", ClusterID: src.ClusterID, MemberID: src.MemberID, EtcdVersion: src.EtcdVersion},
		Sync:   10 * time.Millisecond, Seal: 50 * time.Millisecond, SealSize: 16 << 10, Timeout: 10 * time.Second, Sealed: func(m journal.Manifest) { sealed <- m.Last },
	}
	go func() { ended <- journal.NewRecorder(dir, o, 0, "").Run(ctx, w, m, w.Head) }()
	wait = func(last int64) {
		t.Helper()
		for got := int64(0); got < last; {
			select {
			case got = <-sealed:
			case err := <-ended:
				t.Fatalf("the recorder ended: %v", err)
			}
		}
	}
	return wait, func() {
		t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func (r *recorded) continued(revision int64) *drill.Journal {
	return &drill.Journal{File: r.bundle, Sections: r.sections, Revision: revision, Size: r.size}
}

func (r *recorded) proof(t *testing.T, base string) *drill.Journal {
	t.Helper()
	f, err := os.Open(base)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	j := r.continued(0)
	j.Base = f
	return j
}

// A drill with the journal starts an etcd that has what the live one has, and what it had at an earlier revision.
func TestDrillRestoresASnapshotAndTheJournal(t *testing.T) {
	for _, version := range []string{"3.4", "3.7"} {
		t.Run(version, func(t *testing.T) {
			r := record(t, version)
			for _, revision := range []int64{0, r.last - 7} {
				b := newBench(t, r.base)
				b.Journal = r.continued(revision)
				got, err := b.start(t)
				must(t, err)
				if revision == 0 {
					revision = r.last
				}
				if got.Revision != revision || got.Journal == nil || got.Journal.Revision != revision || got.Journal.Events == 0 || got.Journal.Base >= revision {
					t.Errorf("%+v, %+v", got, got.Journal)
				}
				live, err := r.client.Get(t.Context(), "", clientv3.WithFromKey(), clientv3.WithCountOnly(), clientv3.WithRev(revision))
				must(t, err)
				if got.Keys != live.Count {
					t.Errorf("%d keys, the live etcd has %d", got.Keys, live.Count)
				}
				hash, err := r.client.HashKV(t.Context(), r.cluster.Members[0].ClientURL, revision)
				must(t, err)
				if got.CompactRevision == hash.CompactRevision && got.HashKV != hash.Hash {
					t.Errorf("HashKV %d, the live etcd has %d", got.HashKV, hash.Hash)
				}
			}
		})
	}
}

// The strongest proof: the journal leads from one snapshot exactly to the next one.
func TestSnapshotAndJournalAreProvenByTheNextSnapshot(t *testing.T) {
	for _, version := range []string{"3.4", "3.7"} {
		t.Run(version, func(t *testing.T) {
			r := record(t, version)
			b := newBench(t, r.next)
			b.Journal = r.proof(t, r.base)
			got, err := b.start(t)
			must(t, err)
			if got.Revision >= r.last || got.Journal == nil || got.Journal.Revision != got.Revision || got.Journal.Base >= got.Revision || got.Keys == 0 {
				t.Errorf("%+v, %+v", got, got.Journal)
			}
		})
	}
}

func TestJournalThatDoesNotLeadToTheNextSnapshotIsReported(t *testing.T) {
	r := record(t, "3.7")
	changed := repack(t, r.next, func(path string) {
		db, err := bbolt.Open(path, 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *bbolt.Tx) error {
			c := tx.Bucket([]byte("key")).Cursor()
			k, v := c.Last()
			for ; strings.HasSuffix(string(k), "t"); k, v = c.Prev() { // a deletion
			}
			v = append([]byte{}, v...)
			v[len(v)-30] ^= 1
			return tx.Bucket([]byte("key")).Put(k, v)
		}))
		must(t, db.Close())
	})
	for name, c := range map[string]struct {
		next, base string
		change     func(*drill.Journal)
		want       error
	}{
		"one value differs": {changed, r.base, func(*drill.Journal) {}, journal.ErrDifferent},
		"segments are damaged": {r.next, r.base, func(j *drill.Journal) {
			j.Sections = append([]journal.Section{{Size: j.Sections[0].Size - 1, Complete: true}}, j.Sections[1:]...)
		}, snapshot.ErrDamaged},
		"the journal ends before": {r.later, r.base, func(j *drill.Journal) { j.Sections = j.Sections[:1] }, journal.ErrRevision},
		"another cluster":         {small(t), r.base, func(*drill.Journal) {}, journal.ErrRevision},
		"a base of another one":   {r.next, small(t), func(*drill.Journal) {}, journal.ErrHistory},
	} {
		b := newBench(t, c.next)
		b.Journal = r.proof(t, c.base)
		c.change(b.Journal)
		if _, err := b.start(t); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
