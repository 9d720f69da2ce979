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
	upload    []snapshot.Entry       // newest first
	decisions []prune.Decision       // on this node's rolling snapshots in either place, newest first
	orphans   []prune.Decision       // of other nodes, to be removed
	unneeded  prune.Unneeded         // segments of the journal
	there     map[snapshot.Name]bool // in the bucket, of this cluster's lineage as far as is known
	replace   map[snapshot.Name]bool // in the bucket with other contents, to be uploaded again
	newest    snapshot.Name          // of this node in either place; zero: there is none
}

// makePlan applies the policy to the union of both places. Its error names the snapshots whose manifests could not be read; the plan
// removes none of them.
func makePlan(ctx context.Context, local, remote []snapshot.Entry, journal prune.Journal, o Options, now time.Time, m *manifests) (*plan, error) {
	local = slices.DeleteFunc(slices.Clone(local), func(e snapshot.Entry) bool { return e.Name.Raw() }) // its zip is uploaded
	s := m.scope(o)
	s.Journal = journal
	p := &plan{there: map[snapshot.Name]bool{}, replace: map[snapshot.Name]bool{}}
	m.readAll(ctx, ofNode(remote, o.Node))
	var all []snapshot.Entry
	for _, e := range remote {
		// Where the object of a name is another cluster's, the file can't be uploaded, and takes no place in the bucket's policy.
		if p.there[e.Name] = !m.clash(e.Name); p.there[e.Name] {
			all = append(all, e)
		}
	}
	for _, e := range local {
		if _, ok := m.remote[e.Name]; !ok {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, snapshot.NewestFirst)
	var err error
	p.decisions, p.unneeded, err = prune.Plan(ctx, all, s, now, m.details)
	if err == nil && m.failed != nil { // nothing was to be removed, but which clusters are there is not known
		err = fmt.Errorf("read the manifests in the bucket: %w", m.failed)
	}
	settled := s.Lineage.Settled(m.origins(all))
	if o.Node == "" { // the newest of all may be another node's
		all = local
	}
	p.newest = m.newest(ctx, all, o.Node, settled)
	p.addUploads(local, o.Node, settled, m)
	var orphanErr error
	if m.view.ofAllNodes() {
		p.orphans, orphanErr = prune.Orphans(ctx, remote, s, now, m.objectDetails)
	}
	return p, errors.Join(err, orphanErr)
}

// scope is that of the policy in the bucket.
func (m *manifests) scope(o Options) prune.Scope {
	s := prune.Scope{Node: o.Node, Lineage: o.lineage(), Policy: o.Policy, OrphanAfter: o.OrphanAfter}
	if o.OnlySent {
		s.Mine = func(e snapshot.Entry) bool {
			_, isObject := m.remote[e.Name]
			c, _ := o.Status.Known(status.S3, e)
			return !isObject || c.Sent
		}
	}
	return s
}

// addUploads finds what the bucket lacks of the snapshots that it must have: no uncompressed database, which lies next to its zip after a
// download. While the cluster of this node is not known, that may be
// any cluster's.
func (p *plan) addUploads(local []snapshot.Entry, node string, l snapshot.Lineage, m *manifests) {
	keep := map[snapshot.Name]bool{}
	for _, d := range p.decisions {
		keep[d.Name] = d.Keep
	}
	strangers := m.strangers(node, l)
	for _, e := range local {
		clash := m.clash(e.Name)
		if !e.Name.OfNode(node) || e.Name.Raw() || e.Name.Set == snapshot.RollingSet && !keep[e.Name] && !clash {
			continue
		}
		here, err := m.file(e)
		if e.Name.Set == snapshot.RollingSet && err == nil && l.Stranger(here.Cluster) {
			continue // the daemon of its cluster uploads it
		}
		object, isObject := m.remote[e.Name]
		there, read := m.object(e.Name)
		switch {
		case !isObject, clash:
			p.upload = append(p.upload, e)
		case !read || m.sizeOf(object) == e.Size && (err != nil || there.Cluster == 0 || there.Agrees(here)):
		case e.Name.File != "" && m.sizeOf(object) > 0: // the names do not say the node: it may be another node's, of the same second
		// The server has lost a part of the upload, or somebody else has used the name: upload it again, unless it may be another cluster's.
		case there.Cluster == here.Cluster || there.Cluster == 0 && !strangers:
			p.upload = append(p.upload, e)
			p.there[e.Name], p.replace[e.Name] = false, true
		}
	}
}

// newest returns the newest rolling snapshot of this node that another cluster is not known to have taken.
func (m *manifests) newest(ctx context.Context, all []snapshot.Entry, node string, l snapshot.Lineage) snapshot.Name {
	for _, e := range all {
		if !e.Name.Rolling(node) {
			continue
		}
		x, err := m.details(ctx, e)
		if err != nil || !l.Stranger(x.Cluster) {
			return e.Name
		}
	}
	return snapshot.Name{}
}

func (m *manifests) origins(all []snapshot.Entry) []snapshot.Origin {
	var out []snapshot.Origin
	for _, e := range all {
		x, read := m.object(e.Name)
		if file, ok := m.local[e.Name]; ok && !read {
			x, _ = m.file(file) // 0 if it can't be read
		}
		out = append(out, snapshot.Origin{Cluster: x.Cluster, Name: e.Name})
	}
	return out
}

// removals returns what must be removed from the bucket: nothing of this node while its newest snapshot is not there.
func (p *plan) removals() []snapshot.Name {
	orphans := prune.Removed(p.orphans)
	if !p.there[p.newest] {
		return orphans
	}
	mine := slices.DeleteFunc(prune.Removed(p.decisions), func(n snapshot.Name) bool { return !p.there[n] })
	return slices.Concat(mine, orphans)
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

// removeSegments removes the segments that the journal does not need: none while the newest snapshot is not in the bucket.
func (p *plan) removeSegments(ctx context.Context, o Options, dryRun bool, done *Result) error {
	if !p.there[p.newest] && p.newest != (snapshot.Name{}) {
		return nil
	}
	r, err := o.Journal.prune(ctx, p.unneeded, o.Locked, dryRun)
	done.Segments, done.Locked = r.Removed, done.Locked+r.Locked
	return err
}
