package service

import (
	"context"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// journalRanges says for the status which moments a place can restore, as list does. It asks no bucket: the directory has the same segments.
func journalRanges(dir *snapshot.Dir) func(status.State, status.Place, []snapshot.SegmentEntry) []status.Range {
	return func(s status.State, p status.Place, segments []snapshot.SegmentEntry) (out []status.Range) {
		j := source.JournalIn(dir, segments)
		for _, r := range j.Ranges(context.Background(), journalBases(s, p, dir)) {
			out = append(out, rangeOf(r, j.Names, p == status.S3))
		}
		return out
	}
}

// journalBases are the snapshots in a place from which a restore may begin. Of those that the directory lacks, the status knows what is needed most.
func journalBases(s status.State, p status.Place, dir *snapshot.Dir) (all []history.Snapshot) {
	at := s.Places[p]
	for _, c := range slices.Concat(at.Copies, at.Nodes, at.Others) {
		if c.Damage != "" {
			continue
		}
		if m, err := dir.Manifest(c.Name); err == nil {
			all = append(all, history.SnapshotOf(c.Name, m))
		} else if c = s.Described(c); c.Revision > 0 {
			all = append(all, history.Snapshot{Name: c.Name, Time: c.Name.Time, Cluster: c.Cluster, Revision: c.Revision})
		}
	}
	return all
}

// rangeOf has no times if there is no base. Of segments that only the bucket has, the names are all that is known.
func rangeOf(r source.Range, names []snapshot.SegmentName, bucket bool) status.Range {
	out := status.Range{First: r.First, Last: r.Last, From: r.From, To: r.To, Restored: r.Restored}
	unread := bucket && r.To.IsZero()
	if r.To.IsZero() {
		for _, n := range names {
			if n.Last == r.Last && n.Time.After(out.To) { // after a restore, two may have that revision
				out.To = n.Time
			}
		}
	}
	switch {
	case r.Base != nil && out.From.IsZero():
		out.From = r.Base.Time
	case r.Base == nil && !unread:
		out.From, out.To = time.Time{}, time.Time{}
	}
	return out
}
