package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/restore"
)

// lineage returns the clusters that the restored one continues, the latest first; none if they are unknown. It must be called before
// existing data is moved: a foreign snapshot does not say of which cluster it is, but the data that it replaces may.
func (r *restoring) lineage(p *restore.Plan) []snapshot.ID {
	taken := r.taken(p)
	if !taken.Known() && len(p.Aside) > 0 {
		if old, _ := p.Existing(); old.Relation(taken) == restore.Same { // what can't be read is unknown
			taken.Cluster, taken.Predecessors = old.Cluster, r.recorded(old.Cluster)
		}
	}
	if !taken.Known() {
		return nil
	}
	return append([]snapshot.ID{taken.Cluster}, taken.Predecessors...)
}

// record notes in the snapshot directory which cluster the restored one continues, for the daemon there. The restore has succeeded, so
// nothing here is an error. A directory that is missing is created unless the snapshot is just a file: then this may not be a node with a
// daemon.
func (r *restoring) record(p *restore.Plan, earlier []snapshot.ID) {
	id, err := p.Cluster.ID()
	if len(earlier) == 0 || err == nil && earlier[0] == id {
		return
	}
	dir := snapshot.NewDir(r.cfg.Store.Dir)
	if _, missing := os.Stat(dir.Path()); errors.Is(missing, fs.ErrNotExist) && r.from.From == config.Anywhere {
		return
	}
	if err == nil {
		err = dir.Prepare()
	}
	if err == nil {
		err = r.forget(dir)
	}
	if err == nil {
		earlier = slices.DeleteFunc(earlier, func(e snapshot.ID) bool { return e == id })
		err = dir.RecordRestore(snapshot.Restored{ClusterID: id, Predecessors: earlier, Snapshot: filepath.Base(r.from.Name), At: time.Now().UTC(), Revision: p.Revision})
	}
	if err != nil {
		r.warn("the restore is not recorded in %s, so the daemon there takes the earlier snapshots for those of another cluster: %s",
			dir.Path(), config.OneLine(err.Error()))
	}
}

// forget removes the revision from the record of the restore that this one replaces, if nothing was written in between: no client has seen it.
func (r *restoring) forget(dir *snapshot.Dir) error {
	all, err := dir.Restores()
	if i := slices.IndexFunc(all, r.replaced.AsRestored); err == nil && i >= 0 {
		all[i].Revision = 0
		err = dir.RecordRestore(all[i])
	}
	return err
}
