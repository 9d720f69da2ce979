package source

import (
	"testing"
	"time"

	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// A restore that kept the cluster ID shows in one of several ways, and each of them alone ends what the journal proves.
func TestJournalDoesNotLeadAcrossARestore(t *testing.T) {
	taken := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for name, x := range map[string]struct {
		change func(c *Continuation, from, to *snapshot.Manifest)
		leads  bool
	}{
		"one history":                          {func(*Continuation, *snapshot.Manifest, *snapshot.Manifest) {}, true},
		"it ends with the snapshot":            {func(c *Continuation, _, _ *snapshot.Manifest) { c.End, c.EndAt = 20, taken.Add(-time.Hour) }, true},
		"it ends before the snapshot":          {func(c *Continuation, _, _ *snapshot.Manifest) { c.End = 19 }, false},
		"another cluster":                      {func(_ *Continuation, _, to *snapshot.Manifest) { to.ClusterID = 9 }, false},
		"a lower raft index":                   {func(_ *Continuation, _, to *snapshot.Manifest) { to.RaftIndex = 99 }, false},
		"a lower raft index of another member": {func(_ *Continuation, _, to *snapshot.Manifest) { to.RaftIndex, to.MemberID = 99, 7 }, true},
		"it began again before the snapshot":   {func(c *Continuation, _, _ *snapshot.Manifest) { c.Restored = taken }, false},
		"it began again after the snapshot":    {func(c *Continuation, _, _ *snapshot.Manifest) { c.Restored = taken.Add(time.Second) }, true},
		"it had passed the revision before":    {func(c *Continuation, _, _ *snapshot.Manifest) { c.EndAt = taken.Add(-time.Second) }, false},
	} {
		c := &Continuation{Cluster: 1, End: 30, EndAt: taken.Add(time.Minute)}
		from := snapshot.Manifest{CreatedAt: taken.Add(-time.Hour), Source: snapshot.Source{ClusterID: 1, MemberID: 2, Revision: 10, RaftIndex: 100}}
		to := snapshot.Manifest{CreatedAt: taken, Source: snapshot.Source{ClusterID: 1, MemberID: 2, Revision: 20, RaftIndex: 110}}
		x.change(c, &from, &to)
		if got := c.LeadsTo(from, to); got != x.leads {
			t.Errorf("%s: %t, want %t", name, got, x.leads)
		}
	}
}

// After a restore that kept the cluster ID, what follows a snapshot of before ends where that history does. What came later is neither proven nor a gap.
func TestProofOfTheHistoryBeforeARestoreEndsThere(t *testing.T) {
	for name, x := range map[string]struct {
		first     int64 // after the restore
		restored  bool  // the first segment says so
		raftIndex uint64
		gap       int64
	}{
		"to the snapshot": {806, false, 0, 0},
		"beyond the old revisions, while the daemon was away":      {901, true, 0, 0},
		"beyond the old revisions, and a lower raft index says so": {901, false, 5, 0},
		"no restore": {901, false, 0, 901},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			before := snapshot.Source{ClusterID: newCluster, Revision: baseRevision, RaftIndex: 10, Healthy: true}
			b.write(b.base.String(), storetest.ArchiveOf(t, b.base, before))
			b.segment("n1", newCluster, time.Minute, 806, 850)
			after := storetest.Name(t, snapshot.RollingSet, "n1", 1)
			b.write(after.String(), storetest.ArchiveOf(t, after, snapshot.Source{ClusterID: newCluster, Revision: x.first - 1, RaftIndex: x.raftIndex, Healthy: true}))
			for i := range int64(2) {
				n, data := storetest.Segment(t, storetest.SegmentOf{
					Node: "n1", Cluster: newCluster, Begun: after.Time.Add(time.Duration(i+1) * time.Minute), First: x.first + 50*i, Last: x.first + 50*i + 49,
					Value: "after", Restored: x.restored && i == 0,
				})
				b.write(n.String(), data)
			}
			all, failed := Places{Dir: b.dir}.List(t.Context())
			if len(failed) > 0 {
				t.Fatal(failed[0])
			}
			defer all[0].Close()
			j := JournalOf(all, snapshot.NewDir(t.TempDir())).Of(t.Context(), b.base, snapshot.Manifest{CreatedAt: b.base.Time, Source: before})
			proof := journal.Proof{Cluster: newCluster, Revision: baseRevision}
			found, err := j.Prove(t.Context(), &proof, nil)
			if err != nil || proof.Revision != 850 || found.Next.First != x.gap || len(found.Damaged) > 0 {
				t.Errorf("proven up to revision %d, then %d: %+v, %v", proof.Revision, found.Next.First, found, err)
			}
		})
	}
}
