package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is a live etcd with a journal.
type bed struct {
	t       testing.TB
	cluster *etcdtest.Cluster
	client  *clientv3.Client
	member  *member.Member
	store   *snapshot.Dir
	options journal.Options

	mu     sync.Mutex
	sealed chan struct{} // closed at each segment
	last   int64
	stop   func() error
}

func newBed(t testing.TB, o etcdtest.Options) *bed {
	t.Helper()
	c := etcdtest.Run(t, o)
	return newBedOf(t, c, c.Members[0])
}

// newBedOf records from this member.
func newBedOf(t testing.TB, c *etcdtest.Cluster, of *etcdtest.Member) *bed {
	t.Helper()
	b := &bed{t: t, cluster: c, client: etcdtest.Dial(t, c), store: snapshot.NewDir(t.TempDir()), sealed: make(chan struct{})}
	m, err := member.Connect(t.Context(), member.Config{Endpoints: []string{of.Endpoint}, Timeout: 20 * time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	b.member = m
	src := m.Source()
	b.options = journal.Options{
		Header: journal.Header{Node: "node-a", ClusterID: src.ClusterID, MemberID: src.MemberID, EtcdVersion: src.EtcdVersion},
		Sync:   20 * time.Millisecond, Seal: 300 * time.Millisecond, SealSize: 256 << 10, Timeout: 10 * time.Second, Sealed: b.onSealed,
	}
	return b
}

func (b *bed) onSealed(m journal.Manifest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last, m.Last)
	close(b.sealed)
	b.sealed = make(chan struct{})
}

// record starts a new journal with the revision, which the watch includes; 0: with the newest one.
func (b *bed) record(from int64) {
	b.t.Helper()
	if from == 0 {
		from = b.head()
	}
	b.run(from, 0, "")
}

// recordAfter continues a journal.
func (b *bed) recordAfter(last int64, digest string) {
	b.t.Helper()
	b.run(last, last, digest)
}

func (b *bed) run(from, last int64, digest string) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	w, err := b.member.Watch(ctx, from)
	must(b.t, err)
	ended := make(chan error, 1)
	r, m := journal.NewRecorder(b.store, b.options, last, digest), b.member
	go func() { ended <- r.Run(ctx, w, m, w.Head) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return fmt.Errorf("the recorder ended: %w", err)
		}
		return nil
	})
	b.t.Cleanup(func() { must(b.t, b.stop()) })
}

func (b *bed) head() int64 {
	b.t.Helper()
	r, err := b.client.Get(b.t.Context(), "x", clientv3.WithCountOnly())
	must(b.t, err)
	return r.Header.Revision
}

// waitFor waits until the journal has a revision in a complete segment.
func (b *bed) waitFor(revision int64) {
	b.t.Helper()
	for limit := time.After(time.Minute); ; {
		b.mu.Lock()
		last, next := b.last, b.sealed
		b.mu.Unlock()
		if last >= revision {
			return
		}
		select {
		case <-next:
		case <-limit:
			b.t.Fatalf("the journal is at %d, not at %d", last, revision)
		}
	}
}

// base takes a snapshot without its digest, and returns its revision.
func (b *bed) base() (string, int64) {
	b.t.Helper()
	f, err := os.Create(filepath.Join(b.t.TempDir(), "base"))
	must(b.t, err)
	must(b.t, b.member.Stream(b.t.Context(), f, func(int64) {}))
	info, err := f.Stat()
	must(b.t, err)
	must(b.t, f.Truncate(info.Size()-32))
	d, err := snapshot.Inspect(b.t.Context(), f)
	must(b.t, err)
	return f.Name(), d.Revision
}

// state is what an etcd says of a revision.
type state struct {
	revision, compacted int64
	hash                uint32
}

func (b *bed) state() state {
	b.t.Helper()
	return hashKV(b.t, b.client, b.cluster.Members[0].ClientURL, b.head())
}

func hashKV(t testing.TB, client *clientv3.Client, url string, revision int64) state {
	t.Helper()
	r, err := client.HashKV(t.Context(), url, revision)
	must(t, err)
	return state{revision, r.CompactRevision, r.Hash}
}

// names lists the complete segments.
func (b *bed) names() (names []snapshot.SegmentName) {
	b.t.Helper()
	files, err := os.ReadDir(b.store.Path())
	must(b.t, err)
	for _, f := range files {
		if n, err := snapshot.ParseSegmentName(f.Name()); err == nil && n.Last != 0 {
			names = append(names, n)
		}
	}
	return names
}

// open opens segments until the end of the test.
func open(t testing.TB, dir *snapshot.Dir, names []snapshot.SegmentName) []*journal.Segment {
	t.Helper()
	chain, end := opened(t, dir, names)
	t.Cleanup(end)
	return chain
}

// opened opens segments until end is called.
func opened(t testing.TB, dir *snapshot.Dir, names []snapshot.SegmentName) (chain []*journal.Segment, end func()) {
	t.Helper()
	var files []*os.File
	for _, n := range names {
		f, err := dir.OpenSegment(n)
		must(t, err)
		files = append(files, f)
		info, err := f.Stat()
		must(t, err)
		s, err := journal.Open(f, info.Size())
		must(t, err)
		chain = append(chain, s)
	}
	return chain, func() {
		for _, f := range files {
			must(t, f.Close())
		}
	}
}

// merge makes a database of a base and segments.
func merge(t testing.TB, base string, chain []*journal.Segment, revision int64) (string, journal.Merged, error) {
	t.Helper()
	in, err := os.Open(base)
	must(t, err)
	out, err := os.Create(filepath.Join(t.TempDir(), "merged"))
	must(t, err)
	m, err := journal.Merge(t.Context(), in, chain, revision, out)
	return out.Name(), m, err
}

// target is an etcd whose data is replaced by restored data.
type target struct {
	t       testing.TB
	cluster *etcdtest.Cluster
	client  *clientv3.Client
}

func newTarget(t testing.TB, version string) *target {
	c := etcdtest.Run(t, etcdtest.Options{Version: version})
	return &target{t, c, etcdtest.Dial(t, c)}
}

// restore starts the etcd with a database, which the version's own tool restores.
func (r *target) restore(database string) {
	r.t.Helper()
	m := r.cluster.Members[0]
	must(r.t, m.Kill())
	must(r.t, os.RemoveAll(m.DataDir))
	_, err := etcdtest.Etcdutl(r.t.Context(), r.cluster.Version, "snapshot", "restore", database, "--skip-hash-check", "--data-dir="+m.DataDir,
		"--name="+m.Name, "--initial-cluster="+m.Name+"="+m.PeerURL, "--initial-advertise-peer-urls="+m.PeerURL)
	must(r.t, err)
	must(r.t, m.Restart(r.t.Context()))
}

// want demands the state of the live etcd.
func (r *target) want(s state) {
	r.t.Helper()
	url := r.cluster.Members[0].ClientURL
	got := hashKV(r.t, r.client, url, s.revision)
	if got.compacted < s.compacted { // the journal learns of compactions a little later
		_, err := r.client.Compact(r.t.Context(), s.compacted, clientv3.WithCompactPhysical())
		must(r.t, err)
		got = hashKV(r.t, r.client, url, s.revision)
	}
	if got != s {
		r.t.Errorf("the restored etcd %s has %+v, the live one had %+v", r.cluster.Version, got, s)
	}
}
