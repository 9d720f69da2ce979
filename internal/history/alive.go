package history

import (
	"maps"
	"math"
	"slices"
	"sort"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Of returns the history of what a cluster had at a time.
func (h *Histories) Of(cluster snapshot.ID, t time.Time) History {
	begins := h.begins[cluster]
	return History{cluster, sort.Search(len(begins), func(i int) bool { return begins[i].After(t) })}
}

// Restored reports that a cluster was restored under its ID.
func (h *Histories) Restored() bool { return len(h.begins) > 0 }

// All returns those with a sign of life, the newest first.
func (h *Histories) All() []History {
	last := func(of History) int { return h.lives[of][len(h.lives[of])-1] }
	return slices.SortedFunc(maps.Keys(h.lives), func(a, b History) int { return last(b) - last(a) })
}

// Several reports that there is more than one.
func (h *Histories) Several() bool { return len(h.lives) > 1 }

// At returns the history that was alive at a time: that of the last sign before it. Before the first one, it is the first.
func (h *Histories) At(t time.Time) History {
	if len(h.signs) == 0 {
		return History{}
	}
	n := sort.Search(len(h.signs), func(i int) bool { return h.signs[i].time.After(t) })
	return h.signs[max(n-1, 0)].History
}

// Begun reports that there is a sign of a history not after a time.
func (h *Histories) Begun(of History, t time.Time) bool {
	signs := h.lives[of]
	return len(signs) > 0 && !h.signs[signs[0]].time.After(t)
}

// Before returns the history whose place this one took: that of the last such sign before its first one; zero: there is none.
func (h *Histories) Before(of History) (before History) {
	signs, others := h.lives[of], h.others[of]
	if len(signs) == 0 {
		return before
	}
	if i := sort.SearchInts(others, signs[0]); i > 0 {
		before = h.signs[others[i-1]].History
	}
	return before
}

// SideBySide reports that two histories are of clusters that may have lived at the same time: no node has recorded both, or their signs take turns.
// One that was restored, and then put back, has no sign while the other lived.
func (h *Histories) SideBySide(a, b History) bool {
	if a.Cluster == b.Cluster {
		return false
	}
	nodes := map[History]map[string]bool{a: {}, b: {}}
	both := slices.Concat(h.lives[a], h.lives[b])
	slices.Sort(both)
	var turn sign
	turns := 0
	for _, i := range both {
		s := h.signs[i]
		nodes[s.History][s.node] = true
		switch {
		case s.History == turn.History:
			turn = s
		case turns == 0, s.time.After(turn.time): // within a second, the order is not known
			turn = s
			turns++
		}
	}
	for node := range nodes[a] {
		if nodes[b][node] {
			return turns > 3
		}
	}
	return true
}

// Next returns when there is the next sign, in the second of a time or after it, of a history that took the place of this one; zero: there is none.
func (h *Histories) Next(of History, after time.Time) time.Time {
	after = after.Truncate(time.Second)
	return h.other(of, func(i int) bool { return !h.signs[i].time.Before(after) })
}

// Ended returns when another history had begun after the last sign of this one; zero: it is the present one.
func (h *Histories) Ended(of History) time.Time {
	return h.other(of, func(i int) bool { return i > h.lives[of][len(h.lives[of])-1] })
}

// other is the time of the first of the other signs from such a one on.
func (h *Histories) other(of History, such func(i int) bool) time.Time {
	others := h.others[of]
	if i := sort.Search(len(others), func(i int) bool { return such(others[i]) }); i < len(others) {
		return h.signs[others[i]].time
	}
	return time.Time{}
}

// Highest is the highest revision of the clusters that count, below those that no etcd reaches. Segments that can't be read may be of any cluster, so they
// count.
func (h *Histories) Highest(counts func(snapshot.ID) bool) (revision int64) {
	seen := func(r int64) {
		if r < math.MaxInt64/2 {
			revision = max(revision, r)
		}
	}
	for _, s := range h.signs {
		if counts(s.Cluster) {
			seen(s.revision)
		}
	}
	for _, r := range h.Rows {
		if r.Cluster == 0 {
			seen(r.Names[len(r.Names)-1].Last)
		}
	}
	return revision
}
