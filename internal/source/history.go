package source

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// history is the time of a cluster between two restores: in it, a revision means one state. A restore with a new cluster ID begins that of another
// cluster; one that keeps the ID begins the next one of the same cluster.
type history struct {
	cluster snapshot.ID
	nth     int
}

// histories says of which history segments and snapshots are. It is found out from the names of the segments, from the manifests of those where rows of
// them begin and end, and from those of the snapshots:
//
//   - Segments of one node that follow each other without a gap are of one cluster, then perhaps of another one.
//   - If a node began again with a revision that it had already recorded of the same cluster, the cluster was restored in between.
//   - The same if a segment says so: the daemon has seen other events in the last revision that it had recorded.
//   - The same if a member's raft index is lower in a later snapshot: it only grows while a cluster lives.
//
// Within a cluster, the time says of which history something is.
type histories struct {
	rows   []historyRow
	begins map[snapshot.ID][]time.Time // of the second and later histories of a cluster, whole seconds
	signs  []sign                      // of life, in the order of time
	others map[history][]time.Time     // of each, the signs of those that took its place, as far as they were asked for
}

// historyRow has segments of one node and one history, without a gap between them.
type historyRow struct {
	history
	names []snapshot.SegmentName
}

// sign is when a segment or a snapshot of a history was begun, whole seconds.
type sign struct {
	history
	node     string
	time     time.Time
	revision int64 // that it has
}

// restored is when a cluster was restored under its ID: after one time, and not after the other.
type restored struct{ after, until time.Time }

// findHistories orders segments, whose names have their last revisions, and snapshots. manifest is zero for a segment that can't be read. Only what
// counts is a sign of life; nil: all of a known cluster is.
func findHistories(ctx context.Context, names []snapshot.SegmentName, bases []Base, counts func(sign) bool,
	manifest func(context.Context, snapshot.SegmentName) journal.Manifest,
) *histories {
	h := &histories{begins: map[snapshot.ID][]time.Time{}, others: map[history][]time.Time{}}
	byNode := map[string][]snapshot.SegmentName{}
	for _, n := range names {
		byNode[n.Node] = append(byNode[n.Node], n)
	}
	found := map[snapshot.ID][]restored{}
	for _, node := range slices.Sorted(maps.Keys(byNode)) {
		for _, row := range segmentRows(byNode[node]) {
			h.rows = append(h.rows, byCluster(ctx, row, manifest)...)
		}
	}
	repeated(ctx, h.rows, bases, manifest, found)
	lowered(ctx, h.rows, bases, manifest, found)
	noticed(ctx, h.rows, bases, manifest, found)
	for cluster, all := range found {
		h.begins[cluster] = instants(all)
	}
	h.split()
	for _, r := range h.rows {
		for _, n := range r.names {
			h.signs = append(h.signs, sign{r.history, n.Node, n.Time, n.Last})
		}
	}
	for _, b := range bases {
		h.signs = append(h.signs, sign{h.of(b.Cluster, b.Time), b.Name.Node, b.Time, b.Revision})
	}
	h.signs = slices.DeleteFunc(h.signs, func(s sign) bool { return s.cluster == 0 || counts != nil && !counts(s) })
	slices.SortStableFunc(h.signs, func(a, b sign) int { return a.time.Compare(b.time) })
	return h
}

func segmentRows(names []snapshot.SegmentName) [][]snapshot.SegmentName {
	return snapshot.SegmentRows(names, func(n snapshot.SegmentName) snapshot.SegmentName { return n })
}

// byCluster splits a row where the cluster was restored to another ID and went on with the next revision.
func byCluster(ctx context.Context, row []snapshot.SegmentName, manifest func(context.Context, snapshot.SegmentName) journal.Manifest) (out []historyRow) {
	of := func(i int) snapshot.ID { // of the first one from there on that can be read
		for _, n := range row[i:] {
			if id := manifest(ctx, n).ClusterID; id != 0 {
				return id
			}
		}
		return 0
	}
	for len(row) > 0 {
		id, n := of(0), len(row)
		if last := of(n - 1); last != id && last != 0 {
			n = sort.Search(n, func(i int) bool { return of(i) != id })
		}
		out, row = append(out, historyRow{history{cluster: id}, row[:n]}), row[n:]
	}
	return out
}

// repeated finds the restores that the rows of a node show, which are in the order of time: revisions of the same cluster are there again.
func repeated(ctx context.Context, rows []historyRow, bases []Base, manifest func(context.Context, snapshot.SegmentName) journal.Manifest,
	found map[snapshot.ID][]restored,
) {
	for i, r := range rows {
		for _, before := range rows[:i] {
			if before.names[0].Node != r.names[0].Node || before.cluster != r.cluster || !repeats(ctx, before.names, r.names[0], manifest) {
				continue
			}
			last := before.names[len(before.names)-1]
			x := restored{ends(manifest(ctx, last), last), r.names[0].Time}
			// Another node may have begun again earlier, or a snapshot may have been taken before anything was written.
			again := func(cluster snapshot.ID, at time.Time, revision int64) {
				if cluster == r.cluster && revision < last.Last && at.After(x.after) && at.Before(x.until) {
					x.until = at
				}
			}
			for _, other := range rows {
				again(other.cluster, other.names[0].Time, other.names[0].First)
			}
			for _, b := range bases {
				if b.Healthy {
					again(b.Cluster, b.Time, b.Revision)
				}
			}
			found[r.cluster] = append(found[r.cluster], x)
		}
	}
}

// lowered finds the restores that snapshots show: the raft index is lower again.
func lowered(ctx context.Context, rows []historyRow, bases []Base, manifest func(context.Context, snapshot.SegmentName) journal.Manifest,
	found map[snapshot.ID][]restored,
) {
	for _, b := range bases {
		a := higherBefore(bases, b)
		if a.RaftIndex == 0 {
			continue
		}
		x := restored{a.Time, b.Time}
		for _, r := range rows { // the journal begins again before its snapshot is taken
			at := r.names[0].Time
			if r.cluster == b.Cluster && r.names[0].Node == b.Name.Node && at.After(a.Time) && at.Before(b.Time) && leadsTo(ctx, r.names, b, manifest) {
				x.until = at
			}
		}
		found[b.Cluster] = append(found[b.Cluster], x)
	}
}

// noticed finds the restores that the daemon has seen, also where the first revisions of after are not in the journal.
func noticed(ctx context.Context, rows []historyRow, bases []Base, manifest func(context.Context, snapshot.SegmentName) journal.Manifest,
	found map[snapshot.ID][]restored,
) {
	for i, r := range rows {
		n := r.names[0]
		if !manifest(ctx, n).Restored {
			continue
		}
		x := restored{until: n.Time}
		for _, before := range rows[:i] {
			if last := before.names[len(before.names)-1]; last.Node == n.Node && before.cluster == r.cluster {
				x.after = later(x.after, ends(manifest(ctx, last), last))
			}
		}
		for _, b := range bases { // the one with which it begins again: nothing may have been written before it was taken
			if b.Cluster == r.cluster && b.Name.Node == n.Node && b.Revision >= n.First-1 && b.Time.After(x.after) && b.Time.Before(x.until) {
				x.until = b.Time
			}
		}
		if !x.after.IsZero() {
			found[r.cluster] = append(found[r.cluster], x)
		}
	}
}

// skew is by how much the clocks of two nodes may differ, and how far a healthy member may lag behind another.
const skew = time.Minute

// higherBefore returns the last snapshot that was taken before this one, with a higher raft index; zero: there is none.
func higherBefore(bases []Base, b Base) (last Base) {
	for _, a := range bases {
		before := b.Time
		if a.Name.Node != b.Name.Node {
			before = before.Add(-skew)
		}
		if b.Healthy && b.RaftIndex > 0 && a.Cluster == b.Cluster && a.RaftIndex > b.RaftIndex && a.Time.Before(before) && a.Time.After(last.Time) {
			last = a
		}
	}
	return last
}

// leadsTo reports that the revision of a snapshot is one of a row, and was not exceeded before the snapshot was taken.
func leadsTo(ctx context.Context, row []snapshot.SegmentName, b Base, manifest func(context.Context, snapshot.SegmentName) journal.Manifest) bool {
	last := row[len(row)-1]
	return row[0].First <= b.Revision+1 && b.Revision <= last.Last && (b.Revision == last.Last || !ends(manifest(ctx, last), last).Before(b.Time))
}

// ends is when the last revision of a segment was received; if that is not known, when it was begun.
func ends(m journal.Manifest, n snapshot.SegmentName) time.Time { return cmp.Or(m.To, n.Time) }

// repeats reports that a segment begins a later history than those before it: it has a revision again that they have. One that was written again because
// its first writer died continues the same segment as that.
func repeats(ctx context.Context, before []snapshot.SegmentName, n snapshot.SegmentName, manifest func(context.Context, snapshot.SegmentName) journal.Manifest) bool {
	same := func(x snapshot.SegmentName) bool { return x.First == n.First && x.Time.Equal(n.Time) } // completed meanwhile
	if n.First > before[len(before)-1].Last || n.Last < before[0].First || slices.ContainsFunc(before, same) {
		return false
	}
	i := slices.IndexFunc(before, func(x snapshot.SegmentName) bool { return x.Last == n.First-1 })
	if i < 0 {
		return true
	}
	digest := manifest(ctx, n).Before
	return digest == "" || digest != manifest(ctx, before[i]).LastDigest
}

// instants returns the fewest moments that explain all: several nodes see the same restore, each a little later.
func instants(all []restored) (at []time.Time) {
	slices.SortFunc(all, func(a, b restored) int { return a.until.Compare(b.until) })
	for _, x := range all {
		if len(at) == 0 || !x.after.Before(at[len(at)-1]) {
			at = append(at, x.until)
		}
	}
	return at
}

// split gives each segment its history. A node that was away during a restore has a row that goes on behind it.
func (h *histories) split() {
	var out []historyRow
	for _, r := range h.rows {
		for len(r.names) > 0 {
			of := h.of(r.cluster, r.names[0].Time)
			n := slices.IndexFunc(r.names, func(n snapshot.SegmentName) bool { return h.of(r.cluster, n.Time) != of })
			if n < 0 {
				n = len(r.names)
			}
			out, r.names = append(out, historyRow{of, r.names[:n]}), r.names[n:]
		}
	}
	h.rows = out
}
