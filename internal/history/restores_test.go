package history

import (
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Each revision takes an entry of the raft log. So a revision that has grown by much more than the log was raised by a restore, also where the log of before
// was shorter.
func TestRestoreThatRaisesTheRevisionBeginsAHistory(t *testing.T) {
	for name, x := range map[string]struct {
		revision int64
		index    uint64
		restored bool
	}{
		"raised":                         {1_000_000_454, 60, true},
		"no more than the log has grown": {1_000_000_454, 1_000_000_460, false},
		"a burst":                        {400_454, 60, false}, // the member of the second one may be slow to apply
		"the index is not known":         {1_000_000_454, 0, false},
	} {
		r := Records{Manifest: func(n snapshot.SegmentName) journal.Manifest {
			return journal.Manifest{Header: journal.Header{ClusterID: 1}, To: n.Time.Add(time.Minute)}
		}}
		for i, s := range []Snapshot{{Time: minute(0), Revision: 303, RaftIndex: 50}, {Time: minute(10), Revision: x.revision, RaftIndex: x.index}} {
			n, err := snapshot.NewName(snapshot.RollingSet, "n1", s.Time)
			if err != nil {
				t.Fatal(err)
			}
			s.Name, s.Cluster, s.Healthy = n, 1, true
			r.Snapshots = append(r.Snapshots, s)
			segment, err := snapshot.NewSegmentName("n1", minute(10*i).Add(-time.Second), s.Revision-1, s.Revision+50)
			if err != nil {
				t.Fatal(err)
			}
			r.Segments = append(r.Segments, segment)
		}
		h := Find(r)
		if h.Restored() != x.restored || x.restored && h.Of(1, minute(10).Add(-time.Second)).Nth != 1 {
			t.Errorf("%s: %v, begun %v", name, h.All(), h.begins)
		}
	}
}
