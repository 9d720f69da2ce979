package source

import (
	"testing"
	"time"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// The cluster kept its ID, and went on beyond the old revisions while the daemon was away: only the segment says that it was restored. Otherwise it is a gap.
func TestRestoreThatOnlyASegmentShows(t *testing.T) {
	for name, restored := range map[string]bool{"restored": true, "a gap": false} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			before := storetest.Name(t, snapshot.RollingSet, "n1", -2)
			b.write(before.String(), storetest.ArchiveAt(t, before, newCluster, 600))
			b.segment("n1", newCluster, -time.Hour, 601, 700)
			for i, first := range []int64{806, 821} {
				n, data := storetest.Segment(t, storetest.SegmentOf{
					Node: "n1", Cluster: newCluster, Begun: b.base.Time.Add(time.Duration(i+1) * time.Minute), First: first, Last: first + 14, Restored: restored && i == 0,
				})
				b.write(n.String(), data)
			}
			rows := b.ranges(map[snapshot.Name]history.Snapshot{before: {Cluster: newCluster, Revision: 600}, b.base: {Cluster: newCluster, Revision: baseRevision}})
			if len(rows) != 2 || rows[1].Restored != restored || rows[1].Base == nil || rows[1].Base.Name != b.base {
				t.Errorf("%+v", rows)
			}
			for at, x := range map[string]struct {
				revision int64
				before   bool
			}{
				b.after(-time.Hour + 10*time.Second): {611, true}, "650": {650, true}, "830": {830, false}, b.after(30 * time.Second): {baseRevision, false},
			} {
				o, err := b.ask(snapshot.Latest, at)
				if err != nil {
					t.Errorf("at %s: %v", at, err)
					continue
				}
				if c := o.Journal; c.Revision != x.revision || c.Restored.IsZero() != (!restored || !x.before) || !c.Restored.IsZero() && !c.Restored.Equal(b.base.Time) {
					t.Errorf("at %s: revision %d, restored at %s", at, c.Revision, c.Restored)
				}
			}
		})
	}
}
