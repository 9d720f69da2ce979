package page

import (
	"fmt"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// fromPredecessor reports whether a cluster took the snapshot that this one was restored from.
func (p *painter) fromPredecessor(c status.Copy) bool {
	return c.Cluster != 0 && p.Cluster.Known() && c.Cluster != p.Cluster.Cluster
}

// others returns a line on the snapshots in a place that are not counted; none: there are no such.
func (p *painter) others(in status.Place) []string {
	i := p.Places[in]
	var out []string
	if n := len(i.Others); n > 0 {
		out = append(out, fmt.Sprintf("not counted: %d of another cluster", n))
	}
	nodes := 0
	for _, c := range i.Nodes {
		if c.Name.Set == snapshot.RollingSet && c.Name.File == "" { // rke-tools' names do not say the node
			nodes++
		}
	}
	if nodes > 0 && in == status.Local { // in the bucket, other nodes are normal
		out = append(out, fmt.Sprintf("not counted: %d of other node names", nodes))
	}
	return out
}
