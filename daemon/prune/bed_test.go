package prune_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	node    = "node-a"
	cluster = snapshot.ID(0xa)
)

var midnight = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func name(t *testing.T, set, node string, at time.Time) snapshot.Name {
	t.Helper()
	n, err := snapshot.NewName(set, node, at)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hourly names a rolling snapshot of the node for each hour after midnight.
func hourly(t *testing.T, of ...int) []snapshot.Name {
	t.Helper()
	var out []snapshot.Name
	for _, h := range of {
		out = append(out, name(t, snapshot.RollingSet, node, midnight.Add(time.Duration(h)*time.Hour)))
	}
	return out
}

// memStore is a prune.Store in memory. Its snapshots say of themselves what manifests has, or fail.
type memStore struct {
	snapshots, broken      []snapshot.Name
	manifests              map[snapshot.Name]snapshot.Manifest
	manifestErr, removeErr map[snapshot.Name]error
	read                   []snapshot.Name
}

// newStore has these snapshots, all alike: a database of 5000 bytes at revision 42.
func newStore(names ...snapshot.Name) *memStore {
	return &memStore{
		snapshots: slices.Clone(names), manifests: map[snapshot.Name]snapshot.Manifest{},
		manifestErr: map[snapshot.Name]error{}, removeErr: map[snapshot.Name]error{},
	}
}

// small makes snapshots those of a database of 1000 bytes.
func (s *memStore) small(names ...snapshot.Name) *memStore {
	for _, n := range names {
		s.manifests[n] = snapshot.Manifest{RawSize: 1000, Source: snapshot.Source{ClusterID: cluster, Revision: 42}}
	}
	return s
}

// List implements prune.Store.
func (s *memStore) List() (l snapshot.Listing, err error) {
	for _, n := range s.snapshots {
		l.Snapshots = append(l.Snapshots, snapshot.Entry{Name: n, Size: 1})
	}
	for _, n := range s.broken {
		l.Broken = append(l.Broken, snapshot.Entry{Name: n, Size: 1})
	}
	slices.SortFunc(l.Snapshots, snapshot.NewestFirst)
	return l, nil
}

// Manifest implements prune.Store.
func (s *memStore) Manifest(n snapshot.Name) (snapshot.Manifest, error) {
	s.read = append(s.read, n)
	if err := s.manifestErr[n]; err != nil {
		return snapshot.Manifest{}, err
	}
	if m, ok := s.manifests[n]; ok {
		return m, nil
	}
	return snapshot.Manifest{RawSize: 5000, Source: snapshot.Source{ClusterID: cluster, Revision: 42}}, nil
}

// Remove implements prune.Store.
func (s *memStore) Remove(_ context.Context, n snapshot.Name) error { return s.remove(&s.snapshots, n) }

// RemoveBroken implements prune.Store.
func (s *memStore) RemoveBroken(_ context.Context, n snapshot.Name) error {
	return s.remove(&s.broken, n)
}

func (s *memStore) remove(from *[]snapshot.Name, n snapshot.Name) error {
	if err := s.removeErr[n]; err != nil {
		return err
	}
	*from = slices.DeleteFunc(*from, func(x snapshot.Name) bool { return x == n })
	return nil
}

// scope is that of this node, whose cluster is known, with a policy that keeps the last ones.
func scope(last int) prune.Scope {
	return prune.Scope{Node: node, Lineage: snapshot.Lineage{Cluster: cluster}, Policy: retention.Policy{Last: last}}
}

// local prunes the store with a policy that keeps the last ones, a day after midnight.
func (s *memStore) local(t *testing.T, last int, dryRun bool) ([]prune.Decision, error) {
	t.Helper()
	return prune.Local(t.Context(), s, scope(last), midnight.Add(24*time.Hour), prune.StoreDetails(s), dryRun)
}

func wantNames(t *testing.T, what string, got []snapshot.Name, want ...snapshot.Name) {
	t.Helper()
	byTime := func(a, b snapshot.Name) int { return a.Time.Compare(b.Time) }
	got, want = slices.SortedFunc(slices.Values(got), byTime), slices.SortedFunc(slices.Values(want), byTime)
	if !slices.Equal(got, want) {
		t.Errorf("%s\n%v, want\n%v", what, got, want)
	}
}
