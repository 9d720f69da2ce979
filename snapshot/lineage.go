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
}

// RecordRestore adds a record, which replaces an earlier one of the same cluster.
func (d *Dir) RecordRestore(r Restored) error {
	all, err := d.restores()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(x Restored) bool { return x.ClusterID == r.ClusterID })
	r.Predecessors = r.Predecessors[:min(len(r.Predecessors), maxPredecessors)]
	all = append(all, r)
	return d.KeepNote(restoredNote, all[max(0, len(all)-maxPredecessors):])
}

// Predecessors returns the clusters that the cluster was restored from, the latest first; none if no restore of it is recorded.
func (d *Dir) Predecessors(cluster ID) ([]ID, error) {
	all, err := d.restores()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(x Restored) bool { return x.ClusterID == cluster }); i >= 0 {
		return all[i].Predecessors, nil
	}
	return nil, nil
}

func (d *Dir) restores() (all []Restored, err error) {
	if err := d.ReadNote(restoredNote, &all); err != nil {
		return nil, fmt.Errorf("read the recorded restores: %w", err)
	}
	return all, nil
}
