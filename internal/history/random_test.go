package history

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// written is a random row of histories: the truth.
type written struct {
	*rand.Rand
	t         *testing.T
	names     []snapshot.SegmentName
	manifests map[snapshot.SegmentName]journal.Manifest
	snapshots []Snapshot
	of        map[snapshot.SegmentName]int
	snapOf    []int
}

// live records a cluster from a moment and a revision on, on some nodes, and returns when it ended, and its last revision.
func (w *written) live(nth int, cluster snapshot.ID, at time.Time, first int64) (time.Time, int64) {
	end, last := at, first+20+w.Int64N(100)
	for node := range 3 {
		name := fmt.Sprint("n", node)
		if node > 0 && w.IntN(4) == 0 { // it is away
			continue
		}
		now, next := at.Add(time.Duration(w.IntN(5))*time.Second), first
		for next <= last {
			n, err := snapshot.NewSegmentName(name, now, next, min(next+w.Int64N(30), last))
			if err != nil {
				w.t.Fatal(err)
			}
			now = now.Add(30 * time.Second)
			w.manifests[n] = journal.Manifest{Header: journal.Header{ClusterID: cluster}, To: now.Add(-time.Second)}
			w.names, w.of[n] = append(w.names, n), nth
			next = n.Last + 1
			if now.After(end) {
				end = now
			}
		}
	}
	for i, b := range []Snapshot{{Time: at.Add(10 * time.Second), Revision: first}, {Time: end, Revision: last}} {
		n, err := snapshot.NewName(snapshot.RollingSet, "n0", b.Time)
		if err != nil {
			w.t.Fatal(err)
		}
		b.Name, b.Cluster, b.RaftIndex, b.Healthy = n, cluster, uint64(10+i), true
		w.snapshots, w.snapOf = append(w.snapshots, b), append(w.snapOf, nth)
	}
	return end, last
}

// However often a cluster is restored, to its own ID or to others, segments and snapshots are of one history exactly if they are.
func TestHistoriesAreThoseThatWere(t *testing.T) {
	for seed := range uint64(300) {
		w := &written{rand.New(rand.NewPCG(seed, 3)), t, nil, map[snapshot.SegmentName]journal.Manifest{}, nil, map[snapshot.SegmentName]int{}, nil}
		at, first, cluster := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), int64(100), snapshot.ID(1)
		for nth := range 1 + w.IntN(4) {
			end, last := w.live(nth, cluster, at, first)
			at, first = end.Add(time.Duration(2+w.IntN(60))*time.Second), first+w.Int64N(last-first)
			if w.IntN(2) == 0 {
				cluster++
			}
		}
		w.Shuffle(len(w.names), func(i, j int) { w.names[i], w.names[j] = w.names[j], w.names[i] })
		h := Find(Records{Segments: w.names, Snapshots: w.snapshots, Manifest: func(n snapshot.SegmentName) journal.Manifest { return w.manifests[n] }})
		found, wrong := map[int]History{}, 0
		check := func(truth int, got History) {
			if x, known := found[truth]; known && x != got {
				wrong++
			}
			found[truth] = got
		}
		for _, r := range h.Rows {
			for _, n := range r.Names {
				check(w.of[n], r.History)
			}
		}
		for i, b := range w.snapshots {
			check(w.snapOf[i], h.Of(b.Cluster, b.Time))
		}
		apart := map[History]bool{}
		for _, x := range found {
			apart[x] = true
		}
		if wrong > 0 || len(apart) != len(found) || len(h.All()) != len(found) {
			t.Fatalf("seed %d: %d histories are %d, %d times wrong: %v, restored %v", seed, len(found), len(apart), wrong, found, h.begins)
		}
	}
}
