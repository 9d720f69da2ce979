package history

import (
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// minute is a time.
func minute(n int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
}

// segment is one of ten revisions, received within a minute.
type segment struct {
	node    string
	begun   int
	cluster snapshot.ID
	first   int64
	seen    bool // the daemon has seen that the cluster was restored
}

func find(t *testing.T, of ...segment) *Histories {
	t.Helper()
	manifests := map[snapshot.SegmentName]journal.Manifest{}
	r := Records{Manifest: func(n snapshot.SegmentName) journal.Manifest { return manifests[n] }}
	for _, s := range of {
		n, err := snapshot.NewSegmentName(s.node, minute(s.begun), s.first, s.first+9)
		if err != nil {
			t.Fatal(err)
		}
		r.Segments = append(r.Segments, n)
		manifests[n] = journal.Manifest{Header: journal.Header{ClusterID: s.cluster, Restored: s.seen}, To: minute(s.begun + 1)}
	}
	return Find(r)
}

// A cluster was restored to another ID, and then put back: it goes on with the next revision, and is the present one.
func TestClusterThatWasPutBackIsAliveAgain(t *testing.T) {
	h := find(t, segment{"n1", 0, 1, 10, false}, segment{"n1", 2, 1, 20, false}, segment{"n1", 10, 2, 15, false}, segment{"n1", 20, 1, 30, false})
	first, second := History{1, 0}, History{2, 0}
	if all := h.All(); !slices.Equal(all, []History{first, second}) {
		t.Fatalf("%v", all)
	}
	for at, want := range map[int]History{-5: first, 1: first, 10: second, 19: second, 20: first, 99: first} {
		if got := h.At(minute(at)); got != want {
			t.Errorf("at %d it was %v", at, got)
		}
	}
	if h.SideBySide(first, second) || h.Begun(second, minute(9)) || !h.Begun(second, minute(10)) {
		t.Error("the second began at 10, in place of the first")
	}
	if next := h.Next(first, minute(3)); !next.Equal(minute(10)) {
		t.Errorf("the first is followed at %s", next)
	}
	if a, b := h.Ended(first), h.Ended(second); !a.IsZero() || !b.Equal(minute(20)) {
		t.Errorf("ended at %s and %s", a, b)
	}
	var rows [][]int64
	for _, r := range h.Rows {
		rows = append(rows, []int64{int64(r.Cluster), r.Names[0].First, r.Names[len(r.Names)-1].Last})
	}
	if !slices.EqualFunc(rows, [][]int64{{1, 10, 29}, {2, 15, 24}, {1, 30, 39}}, slices.Equal) {
		t.Errorf("rows %v", rows)
	}
	if highest := h.Highest(func(id snapshot.ID) bool { return id == 2 }); highest != 24 {
		t.Errorf("the highest revision of the second is %d", highest)
	}
}

func TestClustersThatTakeTurnsLiveSideBySide(t *testing.T) {
	for name, node := range map[string]string{"of two nodes": "n2", "of one node name": "n1"} {
		h := find(t, segment{"n1", 0, 1, 100, false}, segment{node, 5, 2, 10, false}, segment{"n1", 10, 1, 110, false}, segment{node, 15, 2, 20, false})
		if a, b := (History{1, 0}), (History{2, 0}); !h.SideBySide(a, b) || !h.Ended(a).IsZero() || len(h.Rows) != 2 {
			t.Errorf("%s: %+v", name, h.Rows)
		}
	}
}

// Two nodes see one restore: one has a revision again, the other has only seen that the cluster was restored.
func TestRestoreThatIsSeenTwiceCountsOnce(t *testing.T) {
	h := find(t, segment{"n1", 0, 1, 100, false}, segment{"n1", 10, 1, 105, true}, segment{"n2", 0, 1, 100, false}, segment{"n2", 12, 1, 130, true})
	if all := h.All(); !slices.Equal(all, []History{{1, 1}, {1, 0}}) || !h.Restored() {
		t.Errorf("%v", all)
	}
	if h = find(t, segment{"n1", 0, 1, 100, false}, segment{"n1", 1, 1, 110, false}); h.Restored() || len(h.All()) != 1 {
		t.Errorf("without a restore: %v", h.All())
	}
}
