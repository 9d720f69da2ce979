package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// orphanInterval is how often a pass looks for orphans: to see other nodes it must list all that is in the folder.
const orphanInterval = 24 * time.Hour

// view is what a pass sees of the bucket: this node's snapshots, and those of all nodes if it looks for orphans. So what other nodes have
// there costs nothing.
type view struct {
	bucket   Bucket
	options  Options
	now      time.Time
	prefixes []string // of names; none: all
}

// viewOf finds the prefixes. The sets of this node are those of its files and of what the status has seen in the bucket; if it has seen
// nothing there, as on a new disk, also what `save` makes without a label. A snapshot with a label that neither knows is not counted; nothing
// is ever done to such a one.
func viewOf(local []snapshot.Entry, bucket Bucket, o Options, now time.Time) view {
	v := view{bucket: bucket, options: o, now: now}
	if o.Node == "" || v.lookForOrphans() { // "": the names do not say the node
		return v
	}
	sets := []string{snapshot.RollingSet}
	for _, e := range local {
		sets = append(sets, setOf(e.Name, o.Node)...)
	}
	seen := o.Status.State().Places[status.S3]
	if len(seen.Copies) == 0 {
		sets = append(sets, snapshot.ManualSet)
	}
	for _, c := range slices.Concat(seen.Copies, seen.Others) {
		sets = append(sets, setOf(c.Name, o.Node)...)
	}
	slices.Sort(sets)
	for _, set := range slices.Compact(sets) {
		v.prefixes = append(v.prefixes, snapshot.Prefix(set, o.Node))
	}
	return v
}

func setOf(n snapshot.Name, node string) []string {
	if !n.OfNode(node) {
		return nil
	}
	return []string{n.Set}
}

func (v view) ofAllNodes() bool { return len(v.prefixes) == 0 }

// lookForOrphans reports whether it is time for that: never done, or not since the last time of day that is this node's. So the nodes of a
// fleet do not list everything at the same time.
func (v view) lookForOrphans() bool {
	if v.options.OrphanAfter <= 0 || v.options.LookForOrphans {
		return v.options.OrphanAfter > 0
	}
	last := v.options.Status.State().Places[status.S3].NodesListed
	h := sha256.Sum256([]byte(v.options.Node))
	seconds := uint64(orphanInterval / time.Second)
	offset := time.Duration(binary.BigEndian.Uint64(h[:])%seconds) * time.Second
	due := v.now.Add(-offset).Truncate(orphanInterval).Add(offset)
	return last.Before(due) || last.After(v.now) // after: the clock was wrong
}

func (v view) fetch(ctx context.Context) ([]snapshot.Entry, error) {
	return v.bucket.List(ctx, v.prefixes...)
}

// record records a listing.
func (v view) record(listed []snapshot.Entry) {
	mine, others := v.copiesOf(listed)
	v.options.Status.SetInventory(status.S3, mine, nil)
	switch {
	case v.options.OrphanAfter <= 0:
		v.options.Status.SetNodes(status.S3, nil, time.Time{})
	case v.ofAllNodes():
		v.options.Status.SetNodes(status.S3, others, v.now)
	}
}

// copiesOf returns this node's snapshots of a listing, and if orphans may be removed those of other nodes.
func (v view) copiesOf(entries []snapshot.Entry) (mine, others []status.Copy) {
	o := v.options
	for _, e := range entries {
		c := status.Copy{Name: e.Name, Size: e.Size, Modified: e.Modified}
		switch {
		case e.Name.OfNode(o.Node):
			mine = append(mine, c)
		case o.OrphanAfter > 0 && e.Name.OfOtherNode(o.Node):
			others = append(others, c)
		}
	}
	return mine, others
}
