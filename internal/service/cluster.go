package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// LineageOf returns a cluster with those that it was restored from: as recorded by restore in the directory, else as the status knows,
// else as the newest snapshot of the cluster says.
func LineageOf(dir *snapshot.Dir, cluster snapshot.ID, t *status.Tracker) (snapshot.Lineage, error) {
	l, err := dir.Recorded(snapshot.Lineage{Cluster: cluster})
	if len(l.Predecessors) > 0 {
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
	l, err := manualLineage(ctx, cfg, given, bucket)
	if err != nil {
		return l, err
	}
	return snapshot.NewDir(cfg.Store.Dir).Recorded(l)
}

func manualLineage(ctx context.Context, cfg config.Config, given snapshot.ID, bucket bool) (snapshot.Lineage, error) {
	saved := savedStatus(cfg).State().Cluster // without it, the manifests are read
	all, seen, err := origins(ctx, cfg, bucket && !saved.Known())
	if err == nil && !saved.Known() {
		err = seen.check(cfg)
	}
	if err != nil {
		return snapshot.Lineage{}, err
	}
	if given != 0 {
		return lineage(given, all, saved), nil
	}
	settled, lives := saved.Settled(all), snapshot.Lives(all)
	if len(lives) == 0 || saved.Known() && !slices.ContainsFunc(settled.Others(all), settled.Alongside) {
		return saved, nil
	}
	newest := lineage(lives[0].Cluster, all, saved)
	if saved.Known() && !slices.ContainsFunc(lives, func(x snapshot.Life) bool { return x.Cluster == saved.Cluster }) {
		lives = append(lives, snapshot.Life{Lineage: saved})
	}
	confirmed := newest.Settled(all)
	if !slices.ContainsFunc(lives, func(x snapshot.Life) bool { return confirmed.Stranger(x.Cluster) }) {
		return newest, nil
	}
	var texts []string
	for _, x := range lives {
		texts = append(texts, x.Cluster.String())
	}
	return snapshot.Lineage{}, config.Usagef("snapshots of node %s are of several clusters (%s): set --cluster to the one that is meant, as list shows them",
		cfg.Store.Node, strings.Join(texts, ", "))
}

// origins reads of which clusters the node's snapshots are, newest first. One whose manifest can't be read is skipped: pruning keeps it.
// seen says which nodes there are where it has looked.
func origins(ctx context.Context, cfg config.Config, bucket bool) (out []snapshot.Origin, seen nodes, err error) {
	mine := func(e snapshot.Entry) bool { return e.Name.Rolling(cfg.Store.Node) }
	places, failed := source.List(ctx, cfg.Store.Dir, nil)
	seen.add(places)
	if len(failed) > 0 || !slices.ContainsFunc(places[0].Snapshots, mine) {
		if !bucket {
			return nil, seen, nil // the command reports what is wrong with the directory
		}
		if places, failed = source.List(ctx, "", cfg.S3); len(failed) > 0 {
			return nil, seen, failed[0]
		}
		seen.add(places)
	}
	for _, p := range places {
		defer p.Close()
		out = append(out, p.Origins(ctx, slices.DeleteFunc(p.Snapshots, func(e snapshot.Entry) bool { return !mine(e) }))...)
	}
	return out, seen, nil
}

// nodes are those that have snapshots in some places.
type nodes struct{ names, places []string }

func (x *nodes) add(places []source.Listing) {
	for _, p := range places {
		x.places = append(x.places, p.Where)
		for _, e := range p.Snapshots {
			x.names = append(x.names, e.Name.Node)
		}
	}
	slices.Sort(x.names)
	x.names = slices.Compact(x.names)
}

// maxNodes is how many nodes an error names.
const maxNodes = 10

// check refuses a node of which nothing is there while other nodes have snapshots: a wrong name would look like a success. A run that
// removes other nodes' snapshots needs none of its own, unless it names one.
func (x *nodes) check(cfg config.Config) error {
	orphans := cfg.Store.OrphanAfter > 0 || cfg.Mirror.OrphanAfter > 0
	if len(x.names) == 0 || slices.Contains(x.names, cfg.Store.Node) || orphans && !cfg.Store.NodeGiven {
		return nil
	}
	names, which := x.names, ""
	if len(names) > maxNodes {
		names = append(slices.Clone(names[:maxNodes]), fmt.Sprintf("%d more", len(x.names)-maxNodes))
	}
	if !cfg.Store.NodeGiven {
		which = ", the name of this host,"
	}
	return config.Usagef("node %s%s has no snapshot in %s: set --node to the node that is meant: %s",
		cfg.Store.Node, which, english.WordSeries(x.places, "or"), english.WordSeries(names, "or"))
}

// lineage returns a cluster of these snapshots with those that it was restored from: as saved, or as its newest one says.
func lineage(id snapshot.ID, all []snapshot.Origin, saved snapshot.Lineage) snapshot.Lineage {
	i := slices.IndexFunc(all, func(o snapshot.Origin) bool { return o.Cluster == id })
	switch {
	case saved.Cluster == id:
		return saved
	case i < 0:
		return snapshot.Lineage{Cluster: id}
	}
	return snapshot.Lineage{Cluster: id, Predecessors: all[i].Predecessors}
}
