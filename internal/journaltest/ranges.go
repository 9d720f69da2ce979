package journaltest

import (
	"slices"

	"etcd-rolling-backup/snapshot"
)

// Range is a row of revisions without a gap.
type Range struct{ First, Last int64 }

// Ranges says which revisions the names of segments have, in order. Between two ranges is a gap.
func Ranges(names []snapshot.SegmentName) []Range {
	var all []Range
	for _, n := range slices.SortedFunc(slices.Values(names), snapshot.CompareSegments) {
		if end := len(all) - 1; end >= 0 && n.First <= all[end].Last+1 {
			all[end].Last = max(all[end].Last, n.Last)
		} else {
			all = append(all, Range{n.First, n.Last})
		}
	}
	return all
}
