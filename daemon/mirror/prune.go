package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/snapshot"
)

// Prune removes from the bucket what [Pass] would remove, but uploads nothing; with dryRun it only decides. local is the content of
// the directory src, or what would remain of it. The decisions are on the snapshots in the bucket: this node's rolling ones, newest
// first, and then the orphans of other nodes. They are valid with an error too.
func Prune(ctx context.Context, src Source, local []snapshot.Entry, bucket Bucket, o Options, now time.Time, dryRun bool) ([]prune.Decision, error) {
	o.LookForOrphans = true
	v := viewOf(local, bucket, o, now)
	remote, err := v.fetch(ctx)
	if err != nil {
		return nil, err
	}
	m := newManifests(src, v, now, local, remote)
	p, unread := makePlan(ctx, local, remote, prune.Journal{}, o, now, m)
	decisions := p.inBucket(remote, m)
	if dryRun {
		return decisions, unread
	}
	var done Result
	err = p.remove(ctx, bucket, o, &done)
	stays := "it could not be removed: held by Object Lock, or see the error"
	switch {
	case err == nil:
		stays = "but Object Lock holds it"
	case done.Locked == 0:
		stays = "it could not be removed"
	}
	for i := range decisions {
		if d := &decisions[i]; !d.Keep && !slices.Contains(done.Removed, d.Name) {
			d.Keep, d.Reasons = true, append(d.Reasons, stays)
		}
	}
	return decisions, errors.Join(unread, err)
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
