package source

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"etcd-rolling-backup/snapshot"
)

// of returns the history of what a cluster had at a time.
func (h *histories) of(cluster snapshot.ID, t time.Time) history {
	begins := h.begins[cluster]
	return history{cluster, sort.Search(len(begins), func(i int) bool { return begins[i].After(t) })}
}

// at returns the history that was alive at a time: that of the last sign before it. Before the first one, it is the first.
func (h *histories) at(t time.Time) history {
	if len(h.signs) == 0 {
		return history{}
	}
	n := sort.Search(len(h.signs), func(i int) bool { return h.signs[i].time.After(t) })
	return h.signs[max(n-1, 0)].history
}

// begun reports that there is a sign of a history not after a time.
func (h *histories) begun(of history, t time.Time) bool {
	i := slices.IndexFunc(h.signs, func(s sign) bool { return s.history == of })
	return i >= 0 && !h.signs[i].time.After(t)
}

// sideBySide reports that two histories are of clusters that may have lived at the same time: no node has recorded both, or their signs take turns.
// One that was restored, and then put back, has no sign while the other lived.
func (h *histories) sideBySide(a, b history) bool {
	if a.cluster == b.cluster {
		return false
	}
	nodes := map[history]map[string]bool{a: {}, b: {}}
	var turn sign
	turns := 0
	for _, s := range h.signs {
		if nodes[s.history] == nil {
			continue
		}
		nodes[s.history][s.node] = true
		switch {
		case s.history == turn.history:
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

// aside has this history, and those that lived next to it.
func (h *histories) aside(of history) map[history]bool {
	aside := map[history]bool{}
	for _, x := range h.all() {
		aside[x] = x == of || h.sideBySide(of, x)
	}
	return aside
}

// other returns when there is the next sign, in the second of a time or after it, of a history that took the place of this one; zero: there is none.
func (h *histories) other(of history, after time.Time) time.Time {
	others, known := h.others[of]
	if !known {
		aside := h.aside(of)
		for _, s := range h.signs {
			if !aside[s.history] {
				others = append(others, s.time)
			}
		}
		h.others[of] = others
	}
	after = after.Truncate(time.Second)
	if i := sort.Search(len(others), func(i int) bool { return !others[i].Before(after) }); i < len(others) {
		return others[i]
	}
	return time.Time{}
}

// cut splits the rows in which another history lived in between: its cluster was put back, and goes on with the next revision.
func (h *histories) cut() {
	var out []historyRow
	for _, r := range h.rows {
		begin := 0
		for i := 1; i < len(r.names) && r.cluster != 0; i++ {
			if t := h.other(r.history, r.names[i-1].Time.Add(time.Second)); !t.IsZero() && t.Before(r.names[i].Time) {
				out, begin = append(out, historyRow{r.history, r.names[begin:i]}), i
			}
		}
		out = append(out, historyRow{r.history, r.names[begin:]})
	}
	h.rows = out
	slices.SortStableFunc(h.rows, func(a, b historyRow) int {
		return cmp.Or(cmp.Compare(a.names[0].Node, b.names[0].Node), a.names[0].Time.Compare(b.names[0].Time))
	})
}

// ended returns when another history had begun after the last sign of this one; zero: it is the present one.
func (h *histories) ended(of history) (at time.Time) {
	aside := h.aside(of)
	for _, s := range slices.Backward(h.signs) {
		switch {
		case s.history == of:
			return at
		case !aside[s.history]:
			at = s.time
		}
	}
	return time.Time{}
}

// all returns the histories, the newest first.
func (h *histories) all() (out []history) {
	seen := map[history]bool{}
	for _, s := range slices.Backward(h.signs) {
		if !seen[s.history] {
			out, seen[s.history] = append(out, s.history), true
		}
	}
	return out
}

// highest is the highest revision of the clusters that count, below those that no etcd reaches.
func (h *histories) highest(counts func(snapshot.ID) bool) (revision int64) {
	for _, s := range h.signs {
		if counts(s.cluster) && s.revision < math.MaxInt64/2 {
			revision = max(revision, s.revision)
		}
	}
	return revision
}
