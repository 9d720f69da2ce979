package snapshot

import (
	"fmt"
	"slices"
	"time"
)

// restoredNote is the file in which restores are recorded for the daemons of this directory.
const restoredNote = ".restored.json"

// maxPredecessors limits how many earlier clusters an archive names, and how many restores are recorded.
const maxPredecessors = 16

// Restored records that a cluster was made from a snapshot. A restored cluster has a new ID; the record is how its daemon knows
// whose successor it is.
type Restored struct {
	ClusterID    ID        `json:"cluster_id"`   // of the new cluster
	Predecessors []ID      `json:"predecessors"` // the snapshot's cluster, then that cluster's own predecessors
	Snapshot     string    `json:"snapshot"`     // its name, for people
	At           time.Time `json:"at"`
	Revision     int64     `json:"revision,omitempty"` // at which the new cluster begins; 0: not recorded, or it was replaced before anything was written
}

// RecordRestore adds a record, which replaces an earlier one of the same cluster.
func (d *Dir) RecordRestore(r Restored) error {
	all, err := d.Restores()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(x Restored) bool { return x.ClusterID == r.ClusterID })
	r.Predecessors = firsts(r.Predecessors)
	r.Predecessors = r.Predecessors[:min(len(r.Predecessors), maxPredecessors)]
	all = append(all, r)
	return d.writeNote(restoredNote, all[max(0, len(all)-maxPredecessors):])
}

// Predecessors returns the clusters that the cluster was restored from, the latest first; none if no restore of it is recorded.
func (d *Dir) Predecessors(cluster ID) ([]ID, error) {
	l, err := d.Recorded(Lineage{Cluster: cluster})
	return l.Predecessors, err
}

// Recorded returns a lineage with what the directory records about the cluster's last restore; without a record, as it is.
func (d *Dir) Recorded(l Lineage) (Lineage, error) {
	all, err := d.Restores()
	if err != nil {
		return l, err
	}
	if i := slices.IndexFunc(all, func(x Restored) bool { return x.ClusterID == l.Cluster }); i >= 0 {
		l.Predecessors, l.Restored = all[i].Predecessors, all[i].At
	}
	l.Successors = nil
	for _, x := range all {
		if slices.Contains(x.Predecessors, l.Cluster) {
			l.Successors = append(l.Successors, x.ClusterID)
		}
	}
	return l, nil
}

// firsts returns each cluster once, in their order: a manifest and a record may both name it.
func firsts(ids []ID) (out []ID) {
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Restores returns the recorded restores, the latest last.
func (d *Dir) Restores() (all []Restored, err error) {
	if err := d.ReadNote(restoredNote, &all); err != nil {
		return nil, fmt.Errorf("read the recorded restores: %w", err)
	}
	return all, nil
}
