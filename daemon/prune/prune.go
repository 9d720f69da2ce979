// Package prune applies the retention policy, with its guard, to the rolling snapshots of one node in a store.
//
// Invariants: only rolling snapshots of the node and of its own cluster, or of one that this was restored from, are ever removed, and
// never the newest; a snapshot whose manifest can't be read is not removed. The one exception are orphans: rolling snapshots of other
// nodes of the same cluster, on request. All pruning, also the manual one, goes through this package.
package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// Scope says whose snapshots are pruned, and by which policy.
type Scope struct {
	Node string
	// Lineage is the cluster of the node. While it is not known, nothing is removed.
	Lineage snapshot.Lineage
	// Mine, if set, says which snapshots are this node's: their names do not say it, and others' are in the same place.
	Mine   func(snapshot.Entry) bool
	Policy retention.Policy
	// OrphanAfter is the age of the newest snapshot of another node at which the older ones are removed; 0: never.
	OrphanAfter time.Duration
	// Journal may need snapshots that the policy does not keep.
	Journal Journal
}

// Decision says whether one snapshot is kept, and why.
type Decision struct {
	snapshot.Entry
	Keep    bool
	Guarded bool     // the guard keeps it and the policy does not
	Broken  bool     // it is a file that was set aside as damaged: NAME.broken
	Reasons []string // never empty
}

// Plan decides on the node's rolling snapshots among the entries, newest first, and returns the segments of the journal that nothing needs. It
// removes nothing. Its error names the snapshots whose manifests could not be read; the decisions are valid all the same, and keep these.
func Plan(ctx context.Context, entries []snapshot.Entry, s Scope, now time.Time, details Details) ([]Decision, Unneeded, error) {
	mine := slices.DeleteFunc(slices.Clone(entries), func(e snapshot.Entry) bool { return !e.Name.Rolling(s.Node) })
	slices.SortFunc(mine, snapshot.NewestFirst)
	all := retention.Plan(itemsOf(mine), s.Policy, now)
	if len(s.own()) == 0 && !slices.ContainsFunc(all, func(d retention.Decision) bool { return !d.Keep }) {
		// Without those that another cluster took, the policy would not remove more.
		return merge(mine, all, nil), Unneeded{}, nil
	}
	if !s.Lineage.Known() {
		return keepAll(mine, "the cluster of this node is not known yet"), Unneeded{}, nil
	}
	facts, err := read(ctx, mine, details)
	items, kept := facts.sort(mine, s)
	plan := retention.Plan(items, s.Policy, now)
	unneeded := Unneeded{Segments: keepForJournal(plan, s, now), lineage: s.Lineage.Settled(facts.origins(mine))}
	retention.Guard(plan, s.Policy, now)
	if err != nil { // what could not be read may need them
		unneeded.Segments = nil
	}
	return merge(mine, plan, kept), unneeded, err
}

// sort makes items of the snapshots that belong to the lineage. kept says why each of the others is kept.
func (f facts) sort(mine []snapshot.Entry, s Scope) (items []retention.Item, kept map[snapshot.Name]string) {
	settled := s.Lineage.Settled(f.origins(mine))
	strangers := slices.ContainsFunc(mine, func(e snapshot.Entry) bool { return settled.Stranger(f[e.Name].Cluster) })
	kept = map[snapshot.Name]string{}
	for _, e := range mine {
		x, known := f[e.Name]
		switch {
		case !known:
			kept[e.Name] = "its manifest can't be read, so it might be from before a loss, or of another cluster"
		case s.Mine != nil && !s.Mine(e):
			kept[e.Name] = "not known to be this node's"
		case x.Cluster == 0 && strangers && !x.Foreign:
			kept[e.Name] = "its manifest is damaged, so it might be of another cluster"
		case x.Cluster == 0 || settled.Has(x.Cluster):
			item := retention.Item{ID: e.Name.String(), Time: e.Name.Time, RawSize: x.RawSize, InUse: x.InUse, Revision: x.Revision, Corrupt: x.Corrupt}
			item.Keys, item.KeysKnown = x.Keys.Get()
			if s.Lineage.Earlier(x.Cluster, e.Name.Time) {
				item.Predecessor = x.Cluster.String()
			}
			items = append(items, item)
		default:
			kept[e.Name] = "of another cluster, " + x.Cluster.String()
		}
	}
	return items, kept
}

func itemsOf(entries []snapshot.Entry) []retention.Item {
	var out []retention.Item
	for _, e := range entries {
		out = append(out, retention.Item{ID: e.Name.String(), Time: e.Name.Time})
	}
	return out
}

func keepAll(mine []snapshot.Entry, reason string) []Decision {
	kept := map[snapshot.Name]string{}
	for _, e := range mine {
		kept[e.Name] = reason
	}
	return merge(mine, nil, kept)
}

// merge returns one decision for each entry, in their order.
func merge(mine []snapshot.Entry, plan []retention.Decision, kept map[snapshot.Name]string) []Decision {
	byID := map[string]retention.Decision{}
	for _, d := range plan {
		byID[d.ID] = d
	}
	out := make([]Decision, len(mine))
	for i, e := range mine {
		d := byID[e.Name.String()]
		out[i] = Decision{Entry: e, Keep: d.Keep, Guarded: d.Guarded, Reasons: d.Reasons}
		if reason := kept[e.Name]; reason != "" {
			out[i] = Decision{Entry: e, Keep: true, Reasons: []string{reason}}
		}
	}
	return out
}

func (d *Decision) keep(reason string) {
	d.Keep, d.Reasons = true, append(slices.Clone(d.Reasons), reason)
}

// apply removes what was decided. What could not be removed counts as kept from then on and is in the error; the rest is removed
// all the same.
func apply(ctx context.Context, remove func(context.Context, snapshot.Name) error, decisions []Decision) error {
	var failed error
	for i := range decisions {
		d := &decisions[i]
		if d.Keep {
			continue
		}
		// Another process may have removed it just now: what was wanted has happened.
		if err := remove(ctx, d.Name); err != nil && !errors.Is(err, snapshot.ErrNotFound) {
			d.keep("it could not be removed")
			failed = errors.Join(failed, fmt.Errorf("prune: %w", err))
		}
	}
	return failed
}

// Removed returns the names of the snapshots that the decisions do not keep.
func Removed(decisions []Decision) []snapshot.Name {
	var out []snapshot.Name
	for _, d := range decisions {
		if !d.Keep && !d.Broken {
			out = append(out, d.Name)
		}
	}
	return out
}

// Guarded counts the snapshots that only the guard keeps.
func Guarded(decisions []Decision) int {
	n := 0
	for _, d := range decisions {
		if d.Guarded {
			n++
		}
	}
	return n
}
