package fleet

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// readers is how many manifests are read at a time.
const readers = 32

// part is what one cluster has under one node name: mostly all there is.
type part struct {
	*series
	origin   snapshot.Manifest // of the snapshot that is shown; zero: it has none, or could not be read
	err      error             // why it could not be read
	several  bool              // another cluster uses the same node name and folder
	verified bool
	damage   error // found by a verification, or why that failed
}

// split reads a few manifests of each node, and makes a part of each cluster.
func split(ctx context.Context, b *s3.Bucket, all []*series, now time.Time) ([]*part, error) {
	found := make([][]*part, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for i, s := range all {
		g.Go(func() (err error) {
			found[i], err = s.split(ctx, b.In(s.folder), now)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []*part
	for _, parts := range found {
		out = append(out, parts...)
	}
	return out, nil
}

func (s *series) split(ctx context.Context, b *s3.Bucket, now time.Time) ([]*part, error) {
	p := &part{series: s}
	var origins []snapshot.Origin
	for i, e := range s.samples() {
		m, err := snapshot.ReadManifest(ctx, e.Name, b.Tail)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if i == 0 && !errors.Is(err, snapshot.ErrNoManifest) {
			p.origin, p.err = m, err
		}
		if err == nil {
			origins = append(origins, originOf(e, m))
		}
	}
	if len(histories(origins)) < 2 {
		return []*part{p}, nil
	}
	return s.byCluster(ctx, b, now)
}

func originOf(e snapshot.Entry, m snapshot.Manifest) snapshot.Origin {
	return snapshot.Origin{Cluster: m.ClusterID, Predecessors: m.Predecessors, Name: e.Name}
}

// histories are the clusters of some snapshots; one that was restored from another one is the same history.
func histories(origins []snapshot.Origin) [][]snapshot.Life {
	var out [][]snapshot.Life
next:
	for _, life := range snapshot.Lives(origins) {
		for i, history := range out {
			for _, x := range history {
				if x.Continues(life) {
					out[i] = append(out[i], life)
					continue next
				}
			}
		}
		out = append(out, []snapshot.Life{life})
	}
	return out
}

// byCluster reads the manifests of all scheduled snapshots of the node. Those that can't be read count as of the cluster with the newest.
func (s *series) byCluster(ctx context.Context, b *s3.Bucket, now time.Time) ([]*part, error) {
	entries, err := b.List(ctx, snapshot.Prefix(snapshot.RollingSet, s.node))
	if err != nil {
		return nil, err
	}
	read, failed := make([]snapshot.Manifest, len(entries)), make([]error, len(entries))
	var origins []snapshot.Origin
	for i, e := range entries { // few nodes need this
		if read[i], failed[i] = snapshot.ReadManifest(ctx, e.Name, b.Tail); failed[i] == nil {
			origins = append(origins, originOf(e, read[i]))
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	all := histories(origins)
	parts := make([]*part, len(all))
	of := map[snapshot.ID]*part{0: nil}
	for i, history := range all {
		parts[i] = &part{series: &series{place: s.place}, several: len(all) > 1}
		for _, life := range history {
			of[life.Cluster] = parts[i]
		}
	}
	if len(parts) == 0 { // pruned meanwhile
		return nil, nil
	}
	of[0] = parts[0]
	for i, e := range entries {
		of[read[i].ClusterID].add(e, now)
	}
	for _, p := range parts {
		for i, e := range entries {
			if e.Name == p.shown().Name && !errors.Is(failed[i], snapshot.ErrNoManifest) {
				p.origin, p.err = read[i], failed[i]
			}
		}
	}
	parts[0].manual, parts[0].label, parts[0].bytes = s.manual, s.label, parts[0].bytes+s.extra
	return parts, nil
}
