// Package history finds out which snapshots and which segments of the journal are of one history, and which history was alive when.
//
// A history is the time of a cluster between two restores: in it, a revision means one state. A restore with a new cluster ID begins that of another
// cluster; one that keeps the ID begins the next one of the same cluster. Nobody writes down that a cluster was restored. It is found out from what was
// recorded, see restores.go.
//
// What always holds:
//
//   - The same records give the same histories: there is no clock, and no file. Of the segments, only those are read where a row begins or ends, and those
//     that may have revisions again.
//   - The histories of one cluster follow each other, so the time says of which one something is. Those of two clusters may have lived side by side.
//   - Several nodes see the same restore, each a little later: it counts once, from the first sign after it on.
//   - Each segment is in one row. A row is of one node and one history, has no gap, and no other history took the place of its own within it.
package history

import (
	"cmp"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// History is one of a cluster.
type History struct {
	Cluster snapshot.ID // 0: none of its segments can be read
	Nth     int         // how often it was restored under its ID before
}

// Snapshot is what is known of one from its manifest.
type Snapshot struct {
	Name      snapshot.Name
	Time      time.Time // whole seconds
	Cluster   snapshot.ID
	Revision  int64  // it has this one, or a later one
	RaftIndex uint64 // 0: not known
	Healthy   bool   // its member knew a leader, so it did not lag behind the cluster
}

// SnapshotOf returns what a manifest says.
func SnapshotOf(n snapshot.Name, m snapshot.Manifest) Snapshot {
	return Snapshot{n, m.CreatedAt.UTC().Truncate(time.Second), m.ClusterID, m.Revision, m.RaftIndex, m.Healthy}
}

// Records are what histories are found in.
type Records struct {
	Segments  []snapshot.SegmentName // with their last revisions
	Snapshots []Snapshot
	// Manifest is that of a segment; zero: it can't be read.
	Manifest func(snapshot.SegmentName) journal.Manifest
	// Counts reports that what a node has recorded of a cluster is a sign of life; nil: all of a known cluster is.
	Counts func(cluster snapshot.ID, node string) bool
}

// Histories are what was found. They do not change. Without any, each cluster has its first one.
type Histories struct {
	Rows []Row // in the order of nodes and time

	begins map[snapshot.ID][]time.Time // of the second and later histories of a cluster, whole seconds
	signs  []sign                      // in the order of time
	lives  map[History][]int           // the signs of each
	others map[History][]int           // of each, the signs of those that took its place
}

// Row has segments of one node and one history, without a gap between them.
type Row struct {
	History
	Names []snapshot.SegmentName
}

// sign is when a segment or a snapshot of a history was begun: then it was alive.
type sign struct {
	History
	node     string
	time     time.Time // whole seconds
	revision int64     // that it has
}

// Find finds the histories in the records.
func Find(r Records) *Histories {
	rows := r.rows()
	h := &Histories{begins: r.restores(rows), lives: map[History][]int{}, others: map[History][]int{}}
	h.signs = make([]sign, 0, len(r.Segments)+len(r.Snapshots))
	for _, x := range rows {
		for _, n := range x.names {
			h.sign(r, x.cluster, n.Node, n.Time, n.Last)
		}
	}
	for _, s := range r.Snapshots {
		h.sign(r, s.Cluster, s.Name.Node, s.Time, s.Revision)
	}
	slices.SortStableFunc(h.signs, func(a, b sign) int { return a.time.Compare(b.time) })
	for i, s := range h.signs {
		h.lives[s.History] = append(h.lives[s.History], i)
	}
	for of := range h.lives {
		for x, signs := range h.lives {
			if x != of && !h.SideBySide(of, x) {
				h.others[of] = append(h.others[of], signs...)
			}
		}
		slices.Sort(h.others[of])
	}
	h.split(rows)
	return h
}

func (h *Histories) sign(r Records, cluster snapshot.ID, node string, t time.Time, revision int64) {
	if cluster != 0 && (r.Counts == nil || r.Counts(cluster, node)) {
		h.signs = append(h.signs, sign{h.Of(cluster, t), node, t, revision})
	}
}

// split gives each segment its history.
func (h *Histories) split(rows []row) {
	for _, r := range rows {
		begin := 0
		for i, n := range r.names {
			if i+1 == len(r.names) || h.parted(r.cluster, n.Time, r.names[i+1].Time) {
				h.Rows = append(h.Rows, Row{h.Of(r.cluster, r.names[begin].Time), r.names[begin : i+1]})
				begin = i + 1
			}
		}
	}
	slices.SortStableFunc(h.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Names[0].Node, b.Names[0].Node), a.Names[0].Time.Compare(b.Names[0].Time))
	})
}

// parted reports that of two segments of a cluster, the second one goes on with the next revision, but not with the same life: its node was away during a
// restore, or another history lived in between, and the cluster was put back.
func (h *Histories) parted(cluster snapshot.ID, first, second time.Time) bool {
	of := h.Of(cluster, first)
	other := h.Next(of, first.Add(time.Second))
	return h.Of(cluster, second) != of || !other.IsZero() && other.Before(second)
}
