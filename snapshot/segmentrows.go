package snapshot

import (
	"cmp"
	"slices"
	"time"
)

// SegmentRows splits the segments of one node into rows: in each, a segment begins with the revision after the one before it. Between two rows revisions
// are missing, or the cluster was restored in between: then the later row has revisions of the earlier one again. The rows are in the order of time.
//
// Revisions say what follows what, because the clock may have been set. Times count only where the revisions leave a choice.
func SegmentRows[T any](all []T, name func(T) SegmentName) (rows [][]T) {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b T) int {
		x, y := name(a), name(b)
		return cmp.Or(cmp.Compare(x.First, y.First), x.Time.Compare(y.Time), cmp.Compare(x.Last, y.Last))
	})
	ends := map[int64][]int{} // the rows that end with a revision
	for _, s := range sorted {
		n, end := name(s), name(s).First-1
		at := -1
		for _, i := range ends[end] {
			if last := name(rows[i][len(rows[i])-1]).Time; at < 0 || nearer(n.Time, last, name(rows[at][len(rows[at])-1]).Time) {
				at = i
			}
		}
		if at < 0 {
			at, rows = len(rows), append(rows, nil)
		}
		if ends[end] = slices.DeleteFunc(ends[end], func(i int) bool { return i == at }); len(ends[end]) == 0 {
			delete(ends, end)
		}
		rows[at], ends[n.Last] = append(rows[at], s), append(ends[n.Last], at)
	}
	slices.SortStableFunc(rows, func(a, b []T) int { return name(a[0]).Time.Compare(name(b[0]).Time) })
	return rows
}

// nearer reports that a is rather than b the time of what comes before t: the last moment that is not after it.
func nearer(t, a, b time.Time) bool {
	if a.After(t) || b.After(t) {
		return a.Before(b)
	}
	return a.After(b)
}
