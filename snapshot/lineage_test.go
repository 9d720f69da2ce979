package snapshot_test

import (
	"slices"
	"testing"

	"etcd-rolling-backup/snapshot"
)

func TestRecordedRestoresGivePredecessors(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	predecessors := func(of snapshot.ID, want ...snapshot.ID) {
		t.Helper()
		got, err := dir.Predecessors(of)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("the predecessors of %s are %v (%v), want %v", of, got, err, want)
		}
	}
	predecessors(2)
	for _, r := range []snapshot.Restored{
		{ClusterID: 2, Predecessors: []snapshot.ID{9}},
		{ClusterID: 3, Predecessors: []snapshot.ID{2, 1, 2, 1}}, // as the manifest says, and a record
		{ClusterID: 2, Predecessors: []snapshot.ID{1}},
	} {
		if err := dir.RecordRestore(r); err != nil {
			t.Fatal(err)
		}
	}
	predecessors(2, 1)
	predecessors(3, 2, 1)
	predecessors(1)
	l, err := dir.List()
	if err != nil || len(l.Foreign) != 0 {
		t.Errorf("the record is listed as a foreign file: %v, %v", l.Foreign, err)
	}
}

func TestRecordsOfRestoresAreLimited(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	var long []snapshot.ID
	for id := snapshot.ID(100); id < 140; id++ {
		long = append(long, id)
	}
	for id := snapshot.ID(1); id <= 40; id++ {
		if err := dir.RecordRestore(snapshot.Restored{ClusterID: id, Predecessors: long}); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[snapshot.ID]int{40: 16, 25: 16, 24: 0, 1: 0} {
		if got, err := dir.Predecessors(id); err != nil || len(got) != want {
			t.Errorf("cluster %s has %d predecessors (%v), want %d", id, len(got), err, want)
		}
	}
}
