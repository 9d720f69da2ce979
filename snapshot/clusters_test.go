package snapshot_test

import (
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

// origin is a snapshot that a cluster took so many minutes after midnight.
func origin(t *testing.T, minute int, id snapshot.ID, from ...snapshot.ID) snapshot.Origin {
	t.Helper()
	n, err := snapshot.NewName(snapshot.RollingSet, "n1", time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Origin{Cluster: id, Predecessors: from, Name: n}
}

func TestClustersAreOrderedByTheirNewestSnapshot(t *testing.T) {
	const a, b, c = snapshot.ID(0xa), snapshot.ID(0xb), snapshot.ID(0xc)
	oldest, newest := origin(t, 2, b), origin(t, 5, b, c, a)
	got := snapshot.Lives([]snapshot.Origin{origin(t, 4, a), origin(t, 3, b, c), newest, origin(t, 9, 0), oldest, origin(t, 4, c)})
	if len(got) != 3 || got[0].Cluster != b || got[1].Cluster != a || got[2].Cluster != c {
		t.Fatalf("got %+v", got)
	}
	if x := got[0]; x.Count != 3 || x.Newest != newest.Name || !x.Since.Equal(oldest.Name.Time) || !slices.Equal(x.Predecessors, []snapshot.ID{c, a}) {
		t.Errorf("got %+v", x)
	}
	if got := snapshot.Lives(nil); len(got) != 0 {
		t.Errorf("without snapshots: %+v", got)
	}
}

func TestOneHistoryIsRelatedAndDoesNotOverlapInTime(t *testing.T) {
	const a, b, c = snapshot.ID(0xa), snapshot.ID(0xb), snapshot.ID(0xc)
	for name, x := range map[string]struct {
		all  []snapshot.Origin
		want bool // a and b are one history
	}{
		"not related":                       {[]snapshot.Origin{origin(t, 1, a), origin(t, 3, b)}, false},
		"restored":                          {[]snapshot.Origin{origin(t, 1, a), origin(t, 2, a), origin(t, 3, b, a)}, true},
		"restored in the same minute":       {[]snapshot.Origin{origin(t, 1, a), origin(t, 3, a), origin(t, 3, b, a)}, true},
		"one snapshot names it":             {[]snapshot.Origin{origin(t, 1, a), origin(t, 3, b, a), origin(t, 4, b)}, true},
		"over a cluster without snapshots":  {[]snapshot.Origin{origin(t, 1, a), origin(t, 3, b, c, a)}, true},
		"both from a third":                 {[]snapshot.Origin{origin(t, 1, a, c), origin(t, 3, b, c)}, true},
		"both from a third, alongside":      {[]snapshot.Origin{origin(t, 1, a, c), origin(t, 3, b, c), origin(t, 4, a, c)}, false},
		"restored from a copy that lives":   {[]snapshot.Origin{origin(t, 1, a), origin(t, 3, b, a), origin(t, 4, a)}, false},
		"restored, and each from its own":   {[]snapshot.Origin{origin(t, 1, a, 0xd), origin(t, 3, b, c)}, false},
		"a copy that ended, then the first": {[]snapshot.Origin{origin(t, 1, b, a), origin(t, 2, b, a), origin(t, 3, a)}, true},
	} {
		lives := snapshot.Lives(x.all)
		if got, back := lives[0].Continues(lives[1]), lives[1].Continues(lives[0]); got != x.want || back != x.want {
			t.Errorf("%s: %t and %t, want %t", name, got, back, x.want)
		}
		if !lives[0].Continues(lives[0]) {
			t.Errorf("%s: a cluster is not of its own history", name)
		}
	}
}

func TestSettledLineageHasNoPredecessorThatLives(t *testing.T) {
	const ours, parent, other = snapshot.ID(0xa), snapshot.ID(0xb), snapshot.ID(0xc)
	first := origin(t, 3, ours)
	restored := snapshot.Lineage{Cluster: ours, Predecessors: []snapshot.ID{parent}}
	earlier := restored
	earlier.Since = origin(t, 1, ours).Name.Time
	for name, x := range map[string]struct {
		of        snapshot.Lineage
		all       []snapshot.Origin
		since     time.Time
		keeps     bool          // the parent
		others    []snapshot.ID // the newest first
		alongside []snapshot.ID // of the others
	}{
		"the parent ended":               {restored, []snapshot.Origin{first, origin(t, 2, parent)}, first.Name.Time, true, nil, nil},
		"in the same minute":             {restored, []snapshot.Origin{first, origin(t, 3, parent)}, first.Name.Time, true, nil, nil},
		"the parent lives":               {restored, []snapshot.Origin{first, origin(t, 4, parent)}, first.Name.Time, false, []snapshot.ID{parent}, []snapshot.ID{parent}},
		"the first snapshot was removed": {earlier, []snapshot.Origin{first, origin(t, 2, parent)}, earlier.Since, false, []snapshot.ID{parent}, []snapshot.ID{parent}},
		"without a snapshot of its own":  {restored, []snapshot.Origin{origin(t, 4, parent), origin(t, 5, other)}, time.Time{}, true, []snapshot.ID{other}, nil},
		"another one that ended":         {restored, []snapshot.Origin{first, origin(t, 2, other)}, first.Name.Time, true, []snapshot.ID{other}, nil},
		"another one in the same minute": {restored, []snapshot.Origin{first, origin(t, 3, other)}, first.Name.Time, true, []snapshot.ID{other}, []snapshot.ID{other}},
		"not known":                      {snapshot.Lineage{}, []snapshot.Origin{first, origin(t, 4, 0)}, time.Time{}, false, []snapshot.ID{ours}, nil},
	} {
		got := x.of.Settled(x.all)
		if !got.Since.Equal(x.since) || got.Has(parent) != x.keeps {
			t.Errorf("%s: %+v", name, got)
		}
		var others, alongside []snapshot.ID
		for _, o := range got.Others(x.all) {
			if others = append(others, o.Cluster); got.Alongside(o) {
				alongside = append(alongside, o.Cluster)
			}
			if got.Stranger(o.Cluster) != x.of.Known() {
				t.Errorf("%s: a stranger: %t", name, got.Stranger(o.Cluster))
			}
		}
		if !slices.Equal(others, x.others) || !slices.Equal(alongside, x.alongside) {
			t.Errorf("%s: others %v, of them alongside %v", name, others, alongside)
		}
	}
	if restored.Stranger(0) || restored.Stranger(ours) || restored.Stranger(parent) || !restored.Stranger(other) {
		t.Error("who is a stranger is wrong")
	}
}
