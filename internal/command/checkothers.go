package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// staleNode is the age of the newest snapshot at which another node in the bucket counts as gone: there, other nodes are normal.
const staleNode = 7 * 24 * time.Hour

// checkOthers warns of rolling snapshots that no policy removes: those of other clusters under this node's name, and those of other
// node names, which may be earlier names of this node. A place that can't be listed is reported by the other checks.
func checkOthers(ctx context.Context, cfg config.Config, cluster snapshot.ID, now time.Time) []finding {
	dir := snapshot.NewDir(cfg.Store.Dir)
	known, _ := status.Open(dir, cfg.Store.Node, status.Options{}) // without it, more manifests are read
	lineage := known.State().Cluster
	if cluster != 0 {
		of, err := service.LineageOf(dir, cluster, known)
		if err != nil {
			return []finding{warn("clusters", "%s: what this cluster was restored from is not known", line(err))}
		}
		if lineage.Cluster == of.Cluster { // else the daemon has not yet seen the cluster that was restored meanwhile
			of.Since = lineage.Since
		}
		lineage = of
	}
	places, _ := source.List(ctx, cfg.Store.Dir, cfg.S3)
	var out []finding
	for _, p := range places {
		defer p.Close()
		o := others{Listing: p, node: cfg.Store.Node, known: known, now: now}
		if lineage.Known() {
			out = append(out, o.clusters(ctx, lineage)...)
		}
		out = append(out, o.nodes(cfg)...)
	}
	return out
}

// checkLoss warns as health does, from what the daemon has recorded: the snapshots that still have lost data are protected for a day only.
func checkLoss(dir *snapshot.Dir, cfg config.Config, now time.Time) []finding {
	known, _ := status.Open(dir, cfg.Store.Node, status.Options{Mirror: cfg.S3 != nil}) // what can't be read is no loss
	var out []finding
	for _, p := range known.State().Losses(now) {
		out = append(out, warn("data", "%s", p.Text))
	}
	return out
}

// others looks for snapshots of others in one place.
type others struct {
	source.Listing
	node  string
	known *status.Tracker // has the clusters of most snapshots
	now   time.Time
}

// origins returns the clusters of this node's rolling snapshots.
func (o others) origins(ctx context.Context) []snapshot.Origin {
	var out []snapshot.Origin
	var unknown []snapshot.Entry
	for _, e := range o.Snapshots {
		if !e.Name.Rolling(o.node) {
			continue
		}
		if c, _ := o.known.Known(status.Place(o.Place), e); c.Cluster != 0 {
			out = append(out, snapshot.Origin{Cluster: c.Cluster, Name: e.Name})
		} else {
			unknown = append(unknown, e)
		}
	}
	return append(out, o.Origins(ctx, unknown)...)
}

func (o others) clusters(ctx context.Context, l snapshot.Lineage) []finding {
	all := o.origins(ctx)
	settled := l.Settled(all)
	var out []finding
	for _, x := range settled.Others(all) {
		remedy := "if that cluster is gone, delete them by name: delete" + o.from() + " NAME"
		if settled.Alongside(x) {
			remedy = "if that cluster is in use, give each cluster its own --s3-folder; " + remedy
			if o.Place == config.Local {
				remedy = strings.Replace(remedy, "--s3-folder", "--dir", 1)
			}
		}
		out = append(out, warn("other cluster", "%s has %d rolling snapshots of node %s from cluster %s, the newest %s old; this cluster is %s. "+
			"They are kept and not counted: %s", o.Where, x.Count, o.node, x.Cluster, age(o.now, x.Newest.Time), settled.Cluster, remedy))
	}
	return out
}

func (o others) from() string {
	if o.Place == config.S3 {
		return " --from s3"
	}
	return ""
}

// nodes warns of other node names in the directory, and in the bucket of those without new snapshots.
func (o others) nodes(cfg config.Config) []finding {
	flag, after := "--orphan-after", cfg.Store.OrphanAfter
	if o.Place == config.S3 {
		flag, after = "--s3-orphan-after", cfg.Mirror.OrphanAfter
	}
	count, newest := map[string]int{}, map[string]time.Time{}
	for _, e := range o.Snapshots { // newest first
		if !e.Name.OfOtherNode(o.node) {
			continue
		}
		if count[e.Name.Node]++; count[e.Name.Node] == 1 {
			newest[e.Name.Node] = e.Name.Time
		}
	}
	var texts []string
	for _, node := range slices.Sorted(maps.Keys(count)) {
		if o.Place == config.S3 && o.now.Sub(newest[node]) < staleNode {
			continue
		}
		texts = append(texts, fmt.Sprintf("%s (%d, the newest %s old)", node, count[node], age(o.now, newest[node])))
	}
	if len(texts) == 0 || after > 0 {
		return nil
	}
	return []finding{warn("other nodes", "%s has rolling snapshots of other node names, which stay for ever: %s. "+
		"If they are earlier names of this node, set --node to a fixed name, and %s or delete%s to remove them", o.Where, strings.Join(texts, ", "), flag, o.from())}
}
