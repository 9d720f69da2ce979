package history

import (
	"cmp"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// restored is when a cluster was restored under its ID: after one time, and not after the other.
type restored struct{ after, until time.Time }

// by narrows it with the time of what is from after the restore.
func (x *restored) by(t time.Time) {
	if t.After(x.after) && t.Before(x.until) {
		x.until = t
	}
}

// restores returns when the second and later histories of clusters began. A cluster was restored under its ID
//
//   - between two rows of a node if the second has revisions of the first again,
//   - before a row if the daemon has seen other events in the last revision that it had recorded,
//   - between two snapshots if the member's raft index is lower in the second, or the revision has grown by more than the index: while a cluster lives, the
//     index only grows, by at least one for each revision.
func (r Records) restores(rows []row) map[snapshot.ID][]time.Time {
	found := map[snapshot.ID][]restored{}
	for i, x := range rows {
		for _, before := range rows[:i] {
			if before.first().Node == x.first().Node && before.cluster == x.cluster && r.repeats(before.names, x.first()) {
				found[x.cluster] = append(found[x.cluster], r.repeated(rows, before, x))
			}
		}
		if n := r.noticed(rows[:i], x); x.restored && !n.after.IsZero() {
			found[x.cluster] = append(found[x.cluster], n)
		}
	}
	for _, s := range r.Snapshots {
		if before := r.otherLifeBefore(s); before.RaftIndex > 0 {
			found[s.Cluster] = append(found[s.Cluster], betweenSnapshots(rows, before, s))
		}
	}
	begins := map[snapshot.ID][]time.Time{}
	for cluster, all := range found {
		begins[cluster] = instants(all)
	}
	return begins
}

// repeats reports that a segment begins a later history than those before it: it has a revision again that they have. One that was written again because
// its first writer died continues the same segment as that.
func (r Records) repeats(before []snapshot.SegmentName, n snapshot.SegmentName) bool {
	same := func(x snapshot.SegmentName) bool { return x.First == n.First && x.Time.Equal(n.Time) } // completed meanwhile
	if n.First > before[len(before)-1].Last || n.Last < before[0].First || slices.ContainsFunc(before, same) {
		return false
	}
	i := slices.IndexFunc(before, func(x snapshot.SegmentName) bool { return x.Last == n.First-1 })
	if i < 0 {
		return true
	}
	digest := r.Manifest(n).Before
	return digest == "" || digest != r.Manifest(before[i]).LastDigest
}

// repeated is the restore between a row and one that repeats it. Another node may have begun again earlier, or a snapshot may have been taken before
// anything was written.
func (r Records) repeated(rows []row, before, again row) restored {
	x := restored{before.end, again.first().Time}
	for _, other := range rows {
		if other.cluster == again.cluster && other.first().First < before.last().Last {
			x.by(other.first().Time)
		}
	}
	for _, s := range r.Snapshots {
		if s.Cluster == again.cluster && s.Revision < before.last().Last && s.Healthy {
			x.by(s.Time)
		}
	}
	return x
}

// noticed is the restore that the daemon has seen when it began a row, also where the first revisions of after are not in the journal. There may be a
// snapshot from before anything was written: the one with which the row begins.
func (r Records) noticed(rows []row, again row) restored {
	n := again.first()
	x := restored{until: n.Time}
	for _, before := range rows {
		if before.first().Node == n.Node && before.cluster == again.cluster && before.end.After(x.after) {
			x.after = before.end
		}
	}
	for _, s := range r.Snapshots {
		if s.Cluster == again.cluster && s.Name.Node == n.Node && s.Revision >= n.First-1 {
			x.by(s.Time)
		}
	}
	return x
}

// skew is by how much the clocks of two nodes may differ, and how far a healthy member may lag behind another.
const skew = time.Minute

// unapplied is by how many changes the revision of a snapshot may be behind its raft index: the member may be slow to apply what it has received.
// --kubernetes raises the revision by a thousand times that.
const unapplied = 1_000_000

// otherLifeBefore returns the last snapshot that was taken before this one, and not in the same life of the cluster; zero: there is none.
func (r Records) otherLifeBefore(s Snapshot) (last Snapshot) {
	for _, x := range r.Snapshots {
		before := s.Time
		if x.Name.Node != s.Name.Node {
			before = before.Add(-skew)
		}
		if x.Cluster == s.Cluster && s.Healthy && !s.mayFollow(x) && x.Time.Before(before) && x.Time.After(last.Time) {
			last = x
		}
	}
	return last
}

// mayFollow reports that a snapshot may be a later one of the same life, as far as both raft indexes are known.
func (s Snapshot) mayFollow(x Snapshot) bool {
	if s.RaftIndex == 0 || x.RaftIndex == 0 {
		return true
	}
	grown := s.RaftIndex - x.RaftIndex
	return s.RaftIndex >= x.RaftIndex && (s.Revision <= x.Revision || uint64(s.Revision-x.Revision) <= grown+unapplied) //nolint:gosec // positive
}

// betweenSnapshots is the restore between two snapshots. The journal begins again before its snapshot is taken: with the last row that leads to it.
func betweenSnapshots(rows []row, before, after Snapshot) restored {
	x := restored{before.Time, after.Time}
	for _, r := range rows {
		begun := r.first().Time
		if r.cluster == after.Cluster && r.first().Node == after.Name.Node && begun.After(before.Time) && begun.Before(after.Time) && r.leadsTo(after) {
			x.until = begun
		}
	}
	return x
}

// leadsTo reports that the revision of a snapshot is one of the row, and was not exceeded before the snapshot was taken.
func (r row) leadsTo(s Snapshot) bool {
	last := r.last().Last
	return r.first().First <= s.Revision+1 && s.Revision <= last && (s.Revision == last || !r.end.Before(s.Time))
}

// instants returns the fewest moments that explain all: several nodes see the same restore, each a little later.
func instants(all []restored) (at []time.Time) {
	slices.SortFunc(all, func(a, b restored) int { return cmp.Or(a.until.Compare(b.until), b.after.Compare(a.after)) })
	for _, x := range all {
		if len(at) == 0 || !x.after.Before(at[len(at)-1]) {
			at = append(at, x.until)
		}
	}
	return at
}
