package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// leastObjects is how many objects of a type must be gone to be a problem: the last one or two of a kind are often deleted on purpose.
const leastObjects = 3

// Resources are the numbers of objects of each type of Kubernetes, as the last drill that passed has counted them. The loss of all objects of
// one type is no fall to half of all keys.
type Resources struct {
	Snapshot snapshot.Name    `json:"snapshot,omitzero"` // in which they were counted; zero: never
	Cluster  snapshot.ID      `json:"cluster,omitempty"`
	Counts   map[string]int64 `json:"counts,omitempty"` // by the beginning of the keys, such as /registry/pods; never changed in place
	Gone     []GoneResource   `json:"gone,omitempty"`   // by type
}

// GoneResource is a type of Kubernetes of which no object is left.
type GoneResource struct {
	Type     string        `json:"type"`
	Had      int64         `json:"had"`
	Snapshot snapshot.Name `json:"snapshot"` // the last one that was drilled and had them
	Found    time.Time     `json:"found"`
}

// counted records what a drill has counted. The same snapshot in another place has the same keys.
func (s *State) counted(at time.Time, o Outcome) {
	if _, known := o.Keys.Get(); known {
		for _, p := range Places() {
			s.copyIn(p, o.Name, func(c *Copy) { c.Keys = c.Keys.Or(o.Keys) })
		}
	}
	before := s.Resources
	// An older snapshot does not show what is gone, unless the other one only seems to be newer: the clock was wrong.
	if o.Name.Time.Before(before.Snapshot.Time) && !before.Snapshot.Time.After(at) {
		return
	}
	next := Resources{Snapshot: o.Name, Cluster: o.Cluster, Counts: o.Resources}
	if o.Resources != nil && next.Cluster == before.Cluster {
		next.Gone = before.gone(at, o.Resources)
	}
	s.Resources = next
}

// gone returns the types of which a later snapshot has no object: new ones, and those that were gone within the guard's window.
func (r Resources) gone(at time.Time, now map[string]int64) []GoneResource {
	out := slices.DeleteFunc(slices.Clone(r.Gone), func(g GoneResource) bool { return now[g.Type] > 0 || g.over(at) })
	for kind, had := range r.Counts {
		if now[kind] == 0 && had >= leastObjects && !shortLived(kind) {
			out = append(out, GoneResource{Type: kind, Had: had, Snapshot: r.Snapshot, Found: at})
		}
	}
	slices.SortFunc(out, func(a, b GoneResource) int { return strings.Compare(a.Type, b.Type) })
	return out
}

// over reports whether it is no problem any more: there is no other way to say that the objects were deleted on purpose.
func (g GoneResource) over(now time.Time) bool { return now.Sub(g.Found) > retention.GuardWindow }

// shortLived reports whether Kubernetes itself removes all objects of a type again and again: events after an hour, leases of nodes and
// controllers, which come back at once, requests for certificates after a day, finished jobs after their TTL, and attachments with the last
// volume that is in use.
func shortLived(kind string) bool {
	_, name, _ := strings.Cut(strings.TrimPrefix(kind, "/"), "/") // without /registry
	return slices.Contains([]string{
		"events", "leases", "leasecandidates", "masterleases", "peerserverleases", "certificatesigningrequests", "jobs", "volumeattachments", "csistoragecapacities",
	}, name)
}

// GoneResources returns the types of which all objects are gone since the drill before, as far as that is a problem.
func (s State) GoneResources(now time.Time) []GoneResource {
	return slices.DeleteFunc(slices.Clone(s.Resources.Gone), func(g GoneResource) bool { return g.over(now) })
}

func (s State) resourceProblem(l *problemList, now time.Time) {
	gone := s.GoneResources(now)
	if len(gone) == 0 {
		return
	}
	first := slices.MaxFunc(gone, func(a, b GoneResource) int { return cmp.Compare(a.Had, b.Had) })
	more := ""
	if n := len(gone) - 1; n > 0 {
		more = fmt.Sprintf(" and of %s", Count(n, "other type", "other types"))
	}
	p := l.add(CodeResourceGone, first.Found, "all objects of the Kubernetes type %s%s are gone: there were %s in %s, the last one drilled before. If nobody deleted them on "+
		"purpose, copy a snapshot that has them to a safe place: %s", first.Type, more, Grouped(first.Had), first.Snapshot, resourceSection)
	p.addedTo(CodeKeysFell)
}
