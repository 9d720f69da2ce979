package source

import (
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
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
