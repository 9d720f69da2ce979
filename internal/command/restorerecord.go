package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/restore"
)

// lineage returns the clusters that the restored one continues, the latest first; none if they are unknown. It must be called before
// existing data is moved: a foreign snapshot does not say of which cluster it is, but the data that it replaces may.
func (r *restoring) lineage(p *restore.Plan) []snapshot.ID {
	taken := r.taken(p)
	if taken.ClusterID == 0 && len(p.Aside) > 0 {
		if old, _ := p.Existing(); old.Relation(taken) == restore.Same { // what can't be read is unknown
			taken.ClusterID, taken.Predecessors = old.ClusterID, r.recorded(old.ClusterID)
		}
	}
	if taken.ClusterID == 0 {
		return nil
	}
	return append([]snapshot.ID{taken.ClusterID}, taken.Predecessors...)
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
		earlier = slices.DeleteFunc(earlier, func(e snapshot.ID) bool { return e == id })
		err = dir.RecordRestore(snapshot.Restored{ClusterID: id, Predecessors: earlier, Snapshot: filepath.Base(r.from.Name), At: time.Now().UTC()})
	}
	if err != nil {
		r.warn("the restore is not recorded in %s, so the daemon there takes the earlier snapshots for those of another cluster: %s",
			dir.Path(), config.OneLine(err.Error()))
	}
}

// orInstead adds to the error of a damaged snapshot which other one to restore.
func (r *restoring) orInstead(ctx context.Context, err error) error {
	if !errors.Is(err, snapshot.ErrDamaged) || r.from.From == config.Peer {
		return err
	}
	name := r.from.Snapshot
	if name == (snapshot.Name{}) { // a renamed file may be of any time
		return fmt.Errorf("%w: restore another snapshot; %s list shows them", err, program)
	}
	ask := source.Request{Reference: r.ref, From: r.o.From, Dir: r.cfg.Store.Dir, Bucket: r.cfg.S3}
	other, ok := ask.Instead(ctx, name, r.from.From)
	if !ok {
		return fmt.Errorf("%w: no older intact snapshot was found on the disk or in the bucket; %s list shows all", err, program)
	}
	what := "the next older snapshot, " + other.Age
	if other.Copy {
		what = "the copy in " + other.Where
	}
	words := slices.Concat([]string{program, "restore"}, other.Arguments)
	if r.cfg.Store.Dir != config.DefaultDir && other.Place != config.S3 {
		words = append(words, "--dir", absolutePath(r.cfg.Store.Dir))
	}
	if other.Place == config.S3 {
		words = append(words, service.BucketFlags(r.cfg.S3)...)
	}
	if r.o.Name != "" {
		words = append(words, "--name", r.o.Name)
	}
	return fmt.Errorf("%w: restore %s: %s", err, what, service.CommandLine(append(words, r.o.SameFlags...)...))
}
