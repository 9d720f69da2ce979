package command

import (
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// clusters counts those that the listed snapshots were taken from.
func (l *listing) clusters() int {
	ids := map[snapshot.ID]bool{}
	for _, r := range l.Snapshots {
		if r.ClusterID != 0 {
			ids[r.ClusterID] = true
		}
	}
	return len(ids)
}

// markPredecessors finds the clusters from which another listed one was restored, as the manifests and the directory's record say.
func (l *listing) markPredecessors(dir *snapshot.Dir) {
	successor := map[snapshot.ID]snapshot.ID{}
	since := map[snapshot.ID]time.Time{} // the first snapshot
	for _, r := range l.Snapshots {      // newest first
		if r.Manifest == nil || r.ClusterID == 0 {
			continue
		}
		since[r.ClusterID] = r.Time
		recorded, _ := dir.Predecessors(r.ClusterID) // without it, the manifests have to do
		for _, id := range slices.Concat(r.Manifest.Predecessors, recorded) {
			if _, known := successor[id]; !known && id != r.ClusterID {
				successor[id] = r.ClusterID
			}
		}
	}
	for i, r := range l.Snapshots {
		if r.ClusterID != 0 {
			l.Snapshots[i].RestoredAs = successor[r.ClusterID]
			l.Snapshots[i].earlier = r.Time.Before(since[successor[r.ClusterID]])
		}
	}
}

// cluster is the cell of the table.
func (r row) cluster() string {
	switch {
	case r.ClusterID == 0:
		return "-"
	case r.earlier: // otherwise the restore was undone, or was one of a copy
		return r.ClusterID.String() + ", before the restore"
	}
	return r.ClusterID.String()
}
