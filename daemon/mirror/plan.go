package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// maxRefusals is how many removals of a pass may fail before it leaves the rest to the next one: if a permission is missing or the
// server does not answer, all of them fail, and new snapshots wait meanwhile.
const maxRefusals = 3

// plan says what to upload and what to remove.
type plan struct {
	all       []snapshot.Entry       // in either place, newest first
	upload    []snapshot.Entry       // newest first
	decisions []prune.Decision       // on this node's rolling snapshots in either place, newest first
	orphans   []snapshot.Name        // of other nodes, to be removed
	there     map[snapshot.Name]bool // in the bucket
	replace   map[snapshot.Name]bool // in the bucket with another size, to be uploaded again
	newest    snapshot.Name          // of this node in either place; zero: there is none
}

// makePlan applies the policy to the union of both places. Its error names the snapshots whose manifests could not be read; the plan
// removes none of them.
func makePlan(ctx context.Context, local, remote []snapshot.Entry, o Options, now time.Time, details prune.Details) (*plan, error) {
	p := &plan{there: map[snapshot.Name]bool{}, replace: map[snapshot.Name]bool{}, all: slices.Clone(remote)}
	size := map[snapshot.Name]int64{}
	for _, e := range remote {
		p.there[e.Name], size[e.Name] = true, e.Size
	}
	for _, e := range local {
		if !p.there[e.Name] {
			p.all = append(p.all, e)
		}
	}
	slices.SortFunc(p.all, snapshot.NewestFirst)
	if i := slices.IndexFunc(p.all, func(e snapshot.Entry) bool { return e.Name.Rolling(o.Node) }); i >= 0 {
		p.newest = p.all[i].Name
	}
	var err error
	p.decisions, err = prune.Plan(ctx, p.all, o.Node, o.Policy, now, details)
	keep := map[snapshot.Name]bool{}
	for _, d := range p.decisions {
		keep[d.Name] = d.Keep
	}
	for _, e := range local {
		wanted := e.Name.Node == o.Node && (e.Name.Set != snapshot.RollingSet || keep[e.Name])
		// If the size differs, the server has lost part of the upload: upload it again.
		if wanted && (!p.there[e.Name] || size[e.Name] != e.Size) {
			p.upload = append(p.upload, e)
			p.there[e.Name], p.replace[e.Name] = false, p.there[e.Name]
		}
	}
	p.orphans = orphans(remote, o, now)
	return p, err
}

// learn reads the details of the newest snapshot and the one before it, even if nothing is removed, so that the status can compare
// them: on a new disk the earlier one is in the bucket only, and etcd may have lost its data with the old disk.
func (p *plan) learn(ctx context.Context, node string, now time.Time, details prune.Details) error {
	var failed error
	known := 0
	for _, e := range p.all {
		if !e.Name.Rolling(node) || e.Name.Time.After(now) {
			continue
		}
		raw, _, err := details(ctx, e)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("compare with %s: %w", e.Name, err))
		}
		if raw > 0 || err != nil {
			known++
		}
		if known == 2 {
			break
		}
	}
	return failed
}

// orphans returns the rolling snapshots, except the newest, of other nodes without a new one for OrphanAfter.
func orphans(remote []snapshot.Entry, o Options, now time.Time) []snapshot.Name {
	if o.OrphanAfter <= 0 {
		return nil
	}
	var out []snapshot.Name
	newest := map[string]time.Time{}
	for _, e := range remote { // newest first
		if e.Name.Set != snapshot.RollingSet || e.Name.Node == o.Node {
			continue
		}
		last, seen := newest[e.Name.Node]
		if !seen {
			newest[e.Name.Node] = e.Name.Time
		} else if now.Sub(last) > o.OrphanAfter {
			out = append(out, e.Name)
		}
	}
	return out
}

// removals returns what must be removed from the bucket: nothing of this node while its newest snapshot is not there.
func (p *plan) removals() []snapshot.Name {
	if !p.there[p.newest] {
		return p.orphans
	}
	mine := slices.DeleteFunc(prune.Removed(p.decisions), func(n snapshot.Name) bool { return !p.there[n] })
	return slices.Concat(mine, p.orphans)
}

// remove deletes the removals. Of several errors it returns the first.
func (p *plan) remove(ctx context.Context, bucket Bucket, o Options, done *Result) error {
	var first error
	failures := 0
	for _, n := range p.removals() {
		if failures == maxRefusals {
			break
		}
		err := bucket.Remove(ctx, n)
		switch {
		case err == nil:
			done.Removed = append(done.Removed, n)
		case errors.Is(err, snapshot.ErrNotFound):
			done.Removed = append(done.Removed, n) // another process was faster
		case o.Locked != nil && o.Locked(err):
			done.Locked++
		default:
			first = cmp.Or(first, err)
			failures++
		}
	}
	if first != nil {
		return fmt.Errorf("prune bucket: %w", first)
	}
	return nil
}

// detailsOf reads the manifests that the status does not know: from the directory, or else from the bucket, where each one takes a
// request.
func detailsOf(src Source, local []snapshot.Entry, bucket Bucket, o Options, now time.Time) prune.Details {
	return func(ctx context.Context, e snapshot.Entry) (rawSize, revision int64, err error) {
		here := slices.IndexFunc(local, func(x snapshot.Entry) bool { return x.Name == e.Name })
		place := status.S3
		if here >= 0 {
			place = status.Local
			e = local[here]
		}
		if c, _ := o.Status.Known(place, e); c.RawSize > 0 || c.Revision > 0 {
			return c.RawSize, c.Revision, nil
		}
		if here >= 0 {
			return prune.FromManifest(localManifest(src, e))
		}
		m, err := bucketManifest(ctx, bucket, e.Name)
		if errors.Is(err, snapshot.ErrDamaged) {
			o.Status.SetDamaged(status.S3, now, e.Name, err)
		}
		rawSize, revision, err = prune.FromManifest(m, err)
		o.Status.SetDetails(status.S3, e.Name, rawSize, revision)
		return rawSize, revision, err
	}
}

func localManifest(src Source, e snapshot.Entry) (snapshot.Manifest, error) {
	f, err := src.File(e.Name)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	defer f.Close()
	a, err := snapshot.OpenArchive(f, e.Size)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	return a.Manifest, nil
}

func bucketManifest(ctx context.Context, bucket Bucket, n snapshot.Name) (snapshot.Manifest, error) {
	tail, bytes, err := bucket.Tail(ctx, n)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	m, _, err := snapshot.DecodeTail(tail, bytes)
	return m, err
}
