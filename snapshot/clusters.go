package snapshot

import (
	"cmp"
	"slices"
	"time"
)

// Lineage is a cluster and the earlier ones that it was restored from. The snapshots of all of them are one history; those of any other
// cluster are somebody else's.
type Lineage struct {
	Cluster      ID        `json:"id,omitempty"` // 0: not known
	Predecessors []ID      `json:"predecessors,omitempty"`
	Since        time.Time `json:"since,omitzero"` // when the first known snapshot of the cluster was taken
	// Restored is when the cluster was last restored, as far as that is recorded. Restored from the same snapshot again it has the same ID,
	// but its snapshots from before are not its present history.
	Restored time.Time `json:"restored,omitzero"`
	// Successors were restored from the cluster, as recorded. If it goes on, the restore was undone.
	Successors []ID `json:"successors,omitempty"`
}

// Known reports whether the cluster is known.
func (l Lineage) Known() bool { return l.Cluster != 0 }

// Has reports whether a cluster belongs to the lineage.
func (l Lineage) Has(id ID) bool {
	return l.Known() && (id == l.Cluster || slices.Contains(l.Predecessors, id))
}

// Earlier reports whether a snapshot of the lineage is from before the last restore: of a predecessor, or of the cluster itself.
func (l Lineage) Earlier(id ID, taken time.Time) bool {
	return id != 0 && (id != l.Cluster || taken.Before(l.Restored))
}

// Stranger reports whether a cluster is known not to belong to the lineage.
func (l Lineage) Stranger(id ID) bool { return l.Known() && id != 0 && !l.Has(id) }

// Related reports whether the two are the same cluster, or one was restored from the other, or both from the same one.
func (l Lineage) Related(o Lineage) bool {
	return o.Has(l.Cluster) || l.Has(o.Cluster) || slices.ContainsFunc(l.Predecessors, o.Has)
}

// Settled returns the lineage as far as these snapshots of one node confirm it. A predecessor that has taken one since the first of the
// cluster is still alive: the cluster was restored from a copy, and neither may touch the other's snapshots. So it is left out.
func (l Lineage) Settled(all []Origin) Lineage {
	lives := Lives(all)
	for _, x := range lives {
		if x.Cluster == l.Cluster && (l.Since.IsZero() || x.Since.Before(l.Since)) {
			l.Since = x.Since
		}
	}
	l.Predecessors = slices.DeleteFunc(slices.Clone(l.Predecessors), func(id ID) bool {
		return slices.ContainsFunc(lives, func(x Life) bool { return x.Cluster == id && !l.Since.IsZero() && !x.endedBefore(l.Since) })
	})
	return l
}

// Others returns the clusters of these snapshots that do not belong to the lineage, the one with the newest snapshot first.
func (l Lineage) Others(all []Origin) []Life {
	return slices.DeleteFunc(Lives(all), func(x Life) bool { return l.Has(x.Cluster) })
}

// Alongside reports whether another cluster has taken snapshots since the first of this one: each lives, or has lived, next to the other.
func (l Lineage) Alongside(x Life) bool { return !l.Since.IsZero() && !x.Newest.Time.Before(l.Since) }

// Origin is the cluster that one snapshot was taken from.
type Origin struct {
	Cluster      ID   // 0: not known
	Predecessors []ID // as its manifest says, if that was read
	Name         Name
}

// Life is what the known snapshots of one cluster say about it. Its lineage has every predecessor that one of them names.
type Life struct {
	Lineage
	Newest Name
	Count  int
}

// Lives returns the clusters of these snapshots, the one with the newest snapshot first.
func Lives(all []Origin) []Life {
	var out []Life
	at := map[ID]int{}
	for _, o := range all {
		if o.Cluster == 0 {
			continue
		}
		i, known := at[o.Cluster]
		if !known {
			i, at[o.Cluster] = len(out), len(out)
			out = append(out, Life{Lineage: Lineage{Cluster: o.Cluster, Since: o.Name.Time}, Newest: o.Name})
		}
		x := &out[i]
		x.Count++
		if o.Name.Time.Before(x.Since) {
			x.Since = o.Name.Time
		}
		if o.Name.Time.After(x.Newest.Time) {
			x.Newest = o.Name
		}
		for _, id := range o.Predecessors {
			if !slices.Contains(x.Predecessors, id) {
				x.Predecessors = append(x.Predecessors, id)
			}
		}
	}
	slices.SortFunc(out, func(a, b Life) int {
		return cmp.Or(NewestFirst(Entry{Name: a.Newest}, Entry{Name: b.Newest}), cmp.Compare(a.Cluster, b.Cluster))
	})
	return out
}

// Continues reports whether the two are one history: they are related, and neither has a snapshot from the time of the other. Two that
// live at the same time are two clusters, even if one began as a copy of the other.
func (x Life) Continues(y Life) bool {
	return x.Cluster == y.Cluster || x.Related(y.Lineage) && (x.endedBefore(y.Since) || y.endedBefore(x.Since))
}

func (x Life) endedBefore(t time.Time) bool { return !x.Newest.Time.After(t) }
