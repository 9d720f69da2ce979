package prune

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Orphans decides on the rolling snapshots of other nodes that have had no new one for OrphanAfter, such as earlier names of this node.
// It returns only those to remove: all of the lineage except each node's newest. Errors are as those of [Plan].
func Orphans(ctx context.Context, entries []snapshot.Entry, s Scope, now time.Time, details Details) ([]Decision, error) {
	var out []Decision
	for _, theirs := range orphanNodes(entries, s, now) {
		alive, err := lives(ctx, theirs, s, now, details)
		if err != nil {
			return out, err
		}
		if alive {
			continue
		}
		f, err := read(ctx, theirs, details)
		if err != nil {
			return out, err
		}
		out = append(out, f.orphans(theirs, s, now)...)
	}
	return out, nil
}

// lives reports whether a node of the lineage has a new enough snapshot. It reads no more manifests than it takes to find one.
func lives(ctx context.Context, theirs []snapshot.Entry, s Scope, now time.Time, details Details) (bool, error) {
	for _, e := range theirs { // newest first
		if now.Sub(e.Name.Time) > s.OrphanAfter {
			break
		}
		x, err := details(ctx, e)
		if err != nil || s.Lineage.Has(x.Cluster) {
			return true, err
		}
	}
	return false, nil
}

// orphanNodes returns the rolling snapshots of each other node that has some of that age, newest first.
func orphanNodes(entries []snapshot.Entry, s Scope, now time.Time) [][]snapshot.Entry {
	if s.OrphanAfter <= 0 || !s.Lineage.Known() {
		return nil
	}
	byNode := map[string][]snapshot.Entry{}
	for _, e := range entries {
		if e.Name.OfOtherNode(s.Node) {
			byNode[e.Name.Node] = append(byNode[e.Name.Node], e)
		}
	}
	var out [][]snapshot.Entry
	for _, node := range slices.Sorted(maps.Keys(byNode)) {
		theirs := byNode[node]
		slices.SortFunc(theirs, snapshot.NewestFirst)
		if len(theirs) > 1 && now.Sub(theirs[len(theirs)-2].Name.Time) > s.OrphanAfter {
			out = append(out, theirs)
		}
	}
	return out
}

// orphans returns those of one node, whose snapshots are given newest first.
func (f facts) orphans(theirs []snapshot.Entry, s Scope, now time.Time) []Decision {
	settled := s.Lineage.Settled(f.origins(theirs))
	var own []snapshot.Entry
	for _, e := range theirs {
		if settled.Has(f[e.Name].Cluster) {
			own = append(own, e)
		}
	}
	if len(own) == 0 || now.Sub(own[0].Name.Time) <= s.OrphanAfter {
		return nil
	}
	reason := fmt.Sprintf("node %s has had no new snapshot since %s", own[0].Name.Node, own[0].Name.Time.UTC().Format(time.RFC3339))
	var out []Decision
	for _, e := range own[1:] {
		out = append(out, Decision{Entry: e, Reasons: []string{reason}})
	}
	return out
}
