package service

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// LineageOf returns a cluster with those that it was restored from: as recorded by restore in the directory, else as the status knows,
// else as the newest snapshot of the cluster says.
func LineageOf(dir *snapshot.Dir, cluster snapshot.ID, t *status.Tracker) (snapshot.Lineage, error) {
	l := snapshot.Lineage{Cluster: cluster}
	recorded, err := dir.Predecessors(cluster)
	if l.Predecessors = recorded; len(recorded) > 0 {
		return l, err
	}
	if s := t.State(); s.Cluster.Cluster == cluster {
		l.Predecessors = s.Cluster.Predecessors
		return l, err
	}
	listing, listErr := dir.List()
	if listErr != nil { // the run reports it
		return l, err
	}
	for _, e := range listing.Snapshots {
		if m, err := dir.Manifest(e.Name); err == nil && m.ClusterID == cluster {
			l.Predecessors = m.Predecessors
			break
		}
	}
	return l, err
}

// ManualLineage returns the cluster that a manual prune or mirror is for: the given one, else that of the daemon of this directory, else
// the one that all snapshots of the node are of. It asks the bucket only if the directory has no snapshot of the node. If it can't know,
// the error lists the clusters and wraps config.ErrUsage.
func ManualLineage(ctx context.Context, cfg config.Config, given snapshot.ID, bucket bool) (snapshot.Lineage, error) {
	known, _ := status.Open(snapshot.NewDir(cfg.Store.Dir), cfg.Store.Node, status.Options{}) // without it, the manifests are read
	saved := known.State().Cluster
	seen, err := clustersOf(ctx, cfg, bucket && !saved.Known())
	if err != nil {
		return snapshot.Lineage{}, err
	}
	if given != 0 {
		return seen.lineage(given, saved), nil
	}
	if saved.Known() && !seen.rivals(saved) {
		return saved, nil
	}
	ids := seen.ids()
	if len(ids) == 0 {
		return saved, nil
	}
	if saved.Known() && !slices.Contains(ids, saved.Cluster) {
		ids = append(ids, saved.Cluster)
	}
	newest := seen.lineage(ids[0], saved)
	if !slices.ContainsFunc(ids, func(id snapshot.ID) bool { return !newest.Settled(seen.origins).Has(id) }) {
		return newest, nil
	}
	var texts []string
	for _, id := range ids {
		texts = append(texts, id.String())
	}
	return snapshot.Lineage{}, config.Usagef("snapshots of node %s are of several clusters (%s): set --cluster to the one that is meant, as list shows them",
		cfg.Store.Node, strings.Join(texts, ", "))
}

// clusters are those of the snapshots of one node.
type clusters struct {
	origins      []snapshot.Origin             // newest first
	predecessors map[snapshot.ID][]snapshot.ID // by the newest snapshot of each
}

// clustersOf reads the manifests of the node's snapshots. One that can't be read is skipped: pruning keeps it.
func clustersOf(ctx context.Context, cfg config.Config, bucket bool) (clusters, error) {
	out := clusters{predecessors: map[snapshot.ID][]snapshot.ID{}}
	dir := snapshot.NewDir(cfg.Store.Dir)
	places, failed := source.List(ctx, cfg.Store.Dir, nil)
	if len(failed) > 0 || !slices.ContainsFunc(places[0].Snapshots, func(e snapshot.Entry) bool { return e.Name.Rolling(cfg.Store.Node) }) {
		if !bucket {
			return out, nil // the command reports what is wrong with the directory
		}
		if places, failed = source.List(ctx, "", cfg.S3); len(failed) > 0 {
			return out, failed[0]
		}
	}
	for _, p := range places {
		defer p.Close()
		mine := slices.DeleteFunc(p.Snapshots, func(e snapshot.Entry) bool { return !e.Name.Rolling(cfg.Store.Node) })
		for _, r := range p.Manifests(ctx, mine) {
			id := r.Manifest.ClusterID
			if r.Err != nil || id == 0 {
				continue
			}
			out.origins = append(out.origins, snapshot.Origin{Cluster: id, Time: r.Name.Time})
			if _, ok := out.predecessors[id]; !ok {
				out.predecessors[id] = r.Manifest.Predecessors
				if recorded, err := dir.Predecessors(id); err == nil && len(recorded) > 0 {
					out.predecessors[id] = recorded
				}
			}
		}
	}
	return out, nil
}

// ids returns the clusters, the one with the newest snapshot first.
func (c clusters) ids() []snapshot.ID {
	newest := map[snapshot.ID]time.Time{}
	for _, o := range c.origins {
		if o.Time.After(newest[o.Cluster]) {
			newest[o.Cluster] = o.Time
		}
	}
	return slices.SortedFunc(maps.Keys(newest), func(a, b snapshot.ID) int { return cmp.Or(newest[b].Compare(newest[a]), cmp.Compare(a, b)) })
}

func (c clusters) lineage(id snapshot.ID, saved snapshot.Lineage) snapshot.Lineage {
	if saved.Cluster == id {
		return saved
	}
	return snapshot.Lineage{Cluster: id, Predecessors: c.predecessors[id]}
}

// rivals reports whether another cluster has taken snapshots since the first of the lineage. Then the saved state may be that of either.
func (c clusters) rivals(l snapshot.Lineage) bool {
	settled := l.Settled(c.origins)
	return !settled.Since.IsZero() && slices.ContainsFunc(c.origins, func(o snapshot.Origin) bool {
		return !settled.Has(o.Cluster) && !o.Time.Before(settled.Since)
	})
}
