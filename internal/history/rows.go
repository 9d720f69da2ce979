package history

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"etcd-rolling-backup/snapshot"
)

// row has segments of one node that follow each other without a gap, and are of one cluster. It may have lived several histories meanwhile.
type row struct {
	cluster  snapshot.ID // 0: none of them can be read
	names    []snapshot.SegmentName
	end      time.Time // when the last revision was received; if that is not known, when its segment was begun
	restored bool      // the daemon has seen at its begin that the cluster had been restored
}

func (r row) first() snapshot.SegmentName { return r.names[0] }
func (r row) last() snapshot.SegmentName  { return r.names[len(r.names)-1] }

// rows orders the segments. Those of one node are in the order of time.
func (r Records) rows() (all []row) {
	byNode := map[string][]snapshot.SegmentName{}
	for _, n := range r.Segments {
		byNode[n.Node] = append(byNode[n.Node], n)
	}
	for _, node := range slices.Sorted(maps.Keys(byNode)) {
		for _, names := range snapshot.SegmentRows(byNode[node], func(n snapshot.SegmentName) snapshot.SegmentName { return n }) {
			all = append(all, r.byCluster(names)...)
		}
	}
	return all
}

// byCluster makes rows of segments that follow each other: several where the cluster was restored to another ID and went on with the next revision.
func (r Records) byCluster(names []snapshot.SegmentName) (all []row) {
	of := func(i int) snapshot.ID { // of the first one from there on that can be read
		for _, n := range names[i:] {
			if id := r.Manifest(n).ClusterID; id != 0 {
				return id
			}
		}
		return 0
	}
	for len(names) > 0 {
		id, n := of(0), len(names)
		if last := of(n - 1); last != id && last != 0 {
			n = sort.Search(n, func(i int) bool { return of(i) != id })
		}
		last := names[n-1]
		all = append(all, row{id, names[:n], cmp.Or(r.Manifest(last).To, last.Time), r.Manifest(names[0]).Restored})
		names = names[n:]
	}
	return all
}
