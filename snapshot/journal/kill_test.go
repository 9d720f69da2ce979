package journal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/journal"
)

// write makes changes as they come in a cluster, a number a second, until the returned function is called.
func (b *bed) write(perSecond int) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 4)
	for i := range cap(ended) {
		go func() {
			ended <- etcdtest.Churn(ctx, b.client, uint64(i), time.Second*time.Duration(cap(ended))/time.Duration(perSecond))
		}()
	}
	stop = sync.OnceFunc(func() {
		cancel()
		for range cap(ended) {
			must(b.t, <-ended)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

// hashOf is the HashKV of a database file, as etcd's own tool has it.
func hashOf(t testing.TB, path string, revision int64) uint32 {
	t.Helper()
	out, err := etcdtest.Etcdutl(t.Context(), etcdtest.Default, "hashkv", path, "--write-out=json", "--rev="+fmt.Sprint(revision))
	must(t, err)
	var r struct{ Hash uint32 }
	must(t, json.Unmarshal(out, &r))
	return r.Hash
}

// equal demands that the journal of a base makes what etcd has at its last revision.
func (b *bed) equal(base string, from int64) journal.Merged {
	b.t.Helper()
	chain, end := opened(b.t, b.store, journal.Follow(b.names(), from))
	path, m, err := merge(b.t, base, chain, 0)
	must(b.t, err)
	end()
	want := hashKV(b.t, b.client, b.cluster.Members[0].ClientURL, m.Revision)
	if got := hashOf(b.t, path, m.Revision); got != want.hash {
		b.t.Errorf("the journal makes the hash %d of revision %d, etcd has %d", got, m.Revision, want.hash)
	}
	return m
}

// A recorder that is killed at any moment loses nothing that it had written, and the next one continues where it ended.
func TestRecorderKilledHundredsOfTimesLosesNothing(t *testing.T) {
	const kills, compared = 300, 50
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	base, from := b.base()
	j := job{Dir: b.store.Path(), Node: "node-a", Endpoint: b.cluster.Members[0].Endpoint, From: from, Sync: 20 * time.Millisecond, Seal: 50 * time.Millisecond, SealSize: 8 << 20}
	stop := b.write(600)
	rng := rand.New(rand.NewPCG(1, 1))
	end := from
	for i := range kills {
		p := j.start(t)
		p.reach(end + 1)
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond) // when it is killed does not matter
		said := p.kill()
		last, _, err := resume(t.Context(), b.store)
		must(t, err)
		if last < said {
			t.Fatalf("kill %d: the journal ends at revision %d; revision %d was written", i, last, said)
		}
		if end = last; i%compared == 0 {
			b.equal(base, from)
		}
	}
	stop()
	head := b.head()
	p := j.start(t)
	p.reach(head)
	p.kill()
	_, _, err := resume(t.Context(), b.store)
	must(t, err)
	if m := b.equal(base, from); m.Revision < head { // etcd may have applied one more that was sent before the stop
		t.Errorf("the journal ends at revision %d, etcd is at %d", m.Revision, head)
	}
	t.Logf("%d revisions, %d segments", head-from, len(b.names()))
}
