package prune_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	stranger = snapshot.ID(0xb)
	earlier  = snapshot.ID(0xe)
)

// of makes snapshots those of a cluster.
func (s *memStore) of(id snapshot.ID, names ...snapshot.Name) *memStore {
	for _, n := range names {
		s.manifests[n] = snapshot.Manifest{RawSize: 5000, Source: snapshot.Source{ClusterID: id, Revision: 42}}
	}
	return s
}

// pruned prunes the store with a scope, a day after midnight.
func (s *memStore) pruned(t *testing.T, scope prune.Scope) []prune.Decision {
	t.Helper()
	decisions, err := prune.Local(t.Context(), s, scope, midnight.Add(24*time.Hour), prune.StoreDetails(s), false)
	if err != nil {
		t.Error(err)
	}
	return decisions
}

func TestPruneNeverRemovesSnapshotsOfAnotherCluster(t *testing.T) {
	names := hourly(t, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
	theirs := []snapshot.Name{names[0], names[2], names[4], names[6], names[8], names[9]}
	s := newStore(names...).of(stranger, theirs...)
	decisions := s.pruned(t, scope(2))
	wantNames(t, "left", s.snapshots, append(slices.Clone(theirs), names[5], names[7])...)
	for _, d := range decisions {
		if slices.Contains(theirs, d.Name) && (!d.Keep || !slices.Equal(d.Reasons, []string{"of another cluster, b"})) {
			t.Errorf("%+v", d)
		}
	}
}

func TestPruneRemovesNothingWhileItsClusterIsNotKnown(t *testing.T) {
	names := hourly(t, 20, 21, 22, 23)
	s, unknown := newStore(names...), scope(1)
	unknown.Lineage = snapshot.Lineage{}
	for _, d := range s.pruned(t, unknown) {
		if !d.Keep || !strings.Contains(d.Reasons[0], "not known yet") {
			t.Errorf("%+v", d)
		}
	}
	wantNames(t, "left", s.snapshots, names...)
}

// The policy keeps two. Of the predecessor two are kept as well, and the first of its successor.
func TestPruneKeepsHistoryFromBeforeARestore(t *testing.T) {
	names := hourly(t, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
	s, restored := newStore(names...).of(earlier, names[:5]...), scope(2)
	restored.Lineage.Predecessors = []snapshot.ID{earlier}
	s.pruned(t, restored)
	wantNames(t, "left", s.snapshots, names[3], names[4], names[5], names[8], names[9])
}

// Restored from the same snapshot again, a cluster keeps its ID, but what it did since the first restore is not its present history.
func TestPruneKeepsHistoryFromBeforeTheSameRestoreAgain(t *testing.T) {
	names := hourly(t, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
	s, restored := newStore(names...), scope(2)
	restored.Lineage.Restored = names[4].Time.Add(time.Minute)
	s.pruned(t, restored)
	wantNames(t, "left", s.snapshots, names[3], names[4], names[5], names[8], names[9])
}

// A cluster that was restored from a living one's snapshot, as for a test: the living one's are not its history.
func TestPruneLeavesAPredecessorThatIsAlive(t *testing.T) {
	names := hourly(t, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
	theirs := []snapshot.Name{names[0], names[1], names[2], names[4], names[6]}
	restored := scope(2)
	restored.Lineage.Predecessors = []snapshot.ID{earlier}
	for _, since := range []time.Time{{}, names[3].Time} {
		s := newStore(names...).of(earlier, theirs...)
		restored.Lineage.Since = since
		s.pruned(t, restored)
		wantNames(t, "left", s.snapshots, append(slices.Clone(theirs), names[8], names[9])...)
	}
	// The first ones of the cluster are gone, but the time is known.
	s := newStore(names[:3]...).of(earlier, names[:3]...)
	s.snapshots = append(s.snapshots, names[7:]...)
	restored.Lineage.Since = names[1].Time
	s.pruned(t, restored)
	wantNames(t, "left", s.snapshots, names[0], names[1], names[2], names[8], names[9])
}

// Whose a damaged snapshot is can't be known where another cluster's are.
func TestPruneKeepsDamagedSnapshotsNextToThoseOfAnotherCluster(t *testing.T) {
	names := hourly(t, 18, 19, 20, 21, 22, 23)
	s := newStore(names...).of(stranger, names[1])
	s.broken = hourly(t, 1)
	s.manifestErr[names[0]] = snapshot.ErrDamaged
	s.pruned(t, scope(2))
	wantNames(t, "left", s.snapshots, names[0], names[1], names[4], names[5])
	wantNames(t, "broken ones left", s.broken, hourly(t, 1)...)
}

func TestOrphansOfTheOwnClusterGoExceptEachNodesNewest(t *testing.T) {
	at := func(node string, hours ...int) (out []snapshot.Name) {
		for _, h := range hours {
			out = append(out, name(t, snapshot.RollingSet, node, midnight.Add(time.Duration(h)*time.Hour)))
		}
		return out
	}
	gone, living, foreign, mixed, before := at("old-name", -9, -8, -7), at("living", -9, -8, 23), at("foreign", -9, -8), at("mixed", -9, -8, -7, 23), at("before", -9, -8)
	own := hourly(t, 22, 23)
	all := slices.Concat(own, gone, living, foreign, mixed, before)
	s := newStore(all...).of(stranger, append(slices.Clone(foreign), mixed[0], mixed[3])...).of(earlier, before...)
	orphans := scope(2)
	orphans.Lineage.Predecessors = []snapshot.ID{earlier}
	s.pruned(t, orphans)
	wantNames(t, "without --orphan-after", s.snapshots, all...)
	orphans.OrphanAfter = 12 * time.Hour
	s.pruned(t, orphans)
	wantNames(t, "left", s.snapshots, slices.Concat(own, gone[2:], living, foreign, []snapshot.Name{mixed[0], mixed[2], mixed[3]}, before[1:])...)
	s.snapshots, orphans.Lineage = all, snapshot.Lineage{}
	s.pruned(t, orphans)
	wantNames(t, "while the cluster is not known", s.snapshots, all...)
}

func TestOrphansStayWhileAManifestCannotBeRead(t *testing.T) {
	n := name(t, snapshot.RollingSet, "old-name", midnight.Add(-9*time.Hour))
	newer := name(t, snapshot.RollingSet, "old-name", midnight.Add(-8*time.Hour))
	s, orphans := newStore(n, newer), scope(2)
	orphans.OrphanAfter = time.Hour
	s.manifestErr[newer] = syscall.EIO
	if _, err := prune.Local(t.Context(), s, orphans, midnight.Add(24*time.Hour), prune.StoreDetails(s), false); err == nil || len(s.snapshots) != 2 {
		t.Errorf("%v; left %v", err, s.snapshots)
	}
}

// However three clusters share a place: what another one took stays, and of the own ones what the policy keeps of them alone.
func TestPruneOfASharedPlaceIsAsIfItWereNotShared(t *testing.T) {
	all := hourly(t, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22)
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(all...)
		var own, others []snapshot.Name
		for _, n := range all {
			id := rapid.SampledFrom([]snapshot.ID{cluster, stranger, 0xc}).Draw(rt, "cluster")
			s.of(id, n)
			if id == cluster {
				own = append(own, n)
			} else {
				others = append(others, n)
			}
		}
		p := retention.Policy{Last: rapid.IntRange(1, 4).Draw(rt, "last"), Daily: rapid.IntRange(0, 2).Draw(rt, "daily")}
		sc := scope(1)
		sc.Policy = p
		alone := newStore(own...)
		for _, store := range []*memStore{s, alone} {
			if _, err := prune.Local(rt.Context(), store, sc, midnight.Add(24*time.Hour), prune.StoreDetails(store), false); err != nil {
				rt.Fatal(err)
			}
		}
		want := append(slices.Clone(others), alone.snapshots...)
		slices.SortFunc(want, func(a, b snapshot.Name) int { return a.Time.Compare(b.Time) })
		got := slices.SortedFunc(slices.Values(s.snapshots), func(a, b snapshot.Name) int { return a.Time.Compare(b.Time) })
		if !slices.Equal(got, want) {
			rt.Fatalf("left\n%v, want\n%v", got, want)
		}
	})
}
