package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/snapshot"
)

// Pruned is the result of Prune.
type Pruned struct {
	// Decisions are on the snapshots in the bucket: this node's rolling ones, newest first, and then the orphans of other nodes.
	Decisions []prune.Decision
	Segments  []snapshot.SegmentEntry // of the journal, removed
}

// Prune removes from the bucket what [Pass] would remove, but uploads nothing; with dryRun it only decides. l is the content of
// the directory src, or what would remain of it. The result is valid with an error too.
func Prune(ctx context.Context, src Source, l snapshot.Listing, bucket Bucket, o Options, now time.Time, dryRun bool) (done Pruned, err error) {
	local := l.Snapshots
	o.LookForOrphans = true
	v := viewOf(local, bucket, o, now)
	remote, err := v.fetch(ctx)
	if err != nil {
		return done, err
	}
	journal, err := o.Journal.look(ctx, l)
	if err != nil {
		return done, err
	}
	m := newManifests(src, v, now, local, remote)
	p, unread := makePlan(ctx, local, remote, journal, o, now, m)
	done.Decisions = p.inBucket(remote, m)
	var result Result
	if dryRun {
		err = p.removeSegments(ctx, o, true, &result)
		done.Segments = result.Segments
		return done, errors.Join(unread, err)
	}
	err = p.remove(ctx, bucket, o, &result)
	stays := "it could not be removed: held by Object Lock, or see the error"
	switch {
	case err == nil:
		stays = "but Object Lock holds it"
	case result.Locked == 0:
		stays = "it could not be removed"
	}
	for i := range done.Decisions {
		if d := &done.Decisions[i]; !d.Keep && !slices.Contains(result.Removed, d.Name) {
			d.Keep, d.Reasons = true, append(d.Reasons, stays)
		}
	}
	err = errors.Join(unread, err, p.removeSegments(ctx, o, false, &result))
	done.Segments = result.Segments
	return done, err
}

// inBucket returns the decisions on the snapshots in the bucket.
func (p *plan) inBucket(remote []snapshot.Entry, m *manifests) []prune.Decision {
	var out []prune.Decision
	for _, d := range p.decisions {
		if _, ok := m.remote[d.Name]; !ok {
			continue
		}
		if !d.Keep && !p.there[p.newest] {
			d.Keep, d.Reasons = true, append(slices.Clone(d.Reasons), "but the newest is not in the bucket yet: run mirror first")
		}
		out = append(out, d)
	}
	for _, e := range remote {
		if m.clash(e.Name) && e.Name.Set == snapshot.RollingSet {
			x, _ := m.object(e.Name)
			out = append(out, prune.Decision{Entry: e, Keep: true, Reasons: []string{"of another cluster, " + x.Cluster.String()}})
		}
	}
	return append(out, p.orphans...)
}
