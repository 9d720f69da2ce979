package snapshot

import (
	"slices"
	"time"
)

// Lineage is a cluster and the earlier ones that it was restored from. The snapshots of all of them are one history; those of any other
// cluster are somebody else's.
type Lineage struct {
	Cluster      ID        `json:"id,omitempty"` // 0: not known
	Predecessors []ID      `json:"predecessors,omitempty"`
	Since        time.Time `json:"since,omitzero"` // when the first known snapshot of the cluster was taken
}

// Known reports whether the cluster is known.
func (l Lineage) Known() bool { return l.Cluster != 0 }

// Has reports whether a cluster belongs to the lineage.
func (l Lineage) Has(id ID) bool {
	return l.Known() && (id == l.Cluster || slices.Contains(l.Predecessors, id))
}

// Origin is the cluster of one snapshot, and the time when it was taken.
type Origin struct {
	Cluster ID // 0: not known
	Time    time.Time
}

// Settled returns the lineage as far as these snapshots of one node confirm it. A predecessor that has taken one since the first of the
// cluster is still alive: the cluster was restored from a copy, and neither may touch the other's snapshots. So it is left out.
func (l Lineage) Settled(all []Origin) Lineage {
	for _, o := range all {
		if o.Cluster == l.Cluster && l.Known() && (l.Since.IsZero() || o.Time.Before(l.Since)) {
			l.Since = o.Time
		}
	}
	l.Predecessors = slices.DeleteFunc(slices.Clone(l.Predecessors), func(id ID) bool {
		return slices.ContainsFunc(all, func(o Origin) bool { return o.Cluster == id && !l.Since.IsZero() && o.Time.After(l.Since) })
	})
	return l
}
