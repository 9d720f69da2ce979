package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// staleUpload is how old an unfinished upload of ours must be to be swept: no living process works on it any more.
const staleUpload = 24 * time.Hour

// maxRefusals is how many removals of a pass may fail before it leaves the rest to the next one: a right that is missing
// or a server that has fallen silent fails for each alike, and new snapshots wait meanwhile.
const maxRefusals = 3

// ErrLocalOnly marks a snapshot that is not to leave the node.
var ErrLocalOnly = errors.New("taken with --no-mirror")

// Source is where the mirror takes archives from; *snapshot.Dir is one.
type Source interface {
	List() (snapshot.Listing, error)
	// File opens one archive; a missing one wraps snapshot.ErrNotFound.
	File(n snapshot.Name) (*os.File, error)
}

// Bucket is where the mirror brings them; *s3.Bucket is one.
type Bucket interface {
	// List gives all snapshots there, of all nodes, newest first.
	List(ctx context.Context) ([]snapshot.Entry, error)
	// PutArchive proves the archive and returns nil only when its size and checksum have arrived. One that is not whole
	// wraps snapshot.ErrDamaged and is never stored.
	PutArchive(ctx context.Context, n snapshot.Name, a *snapshot.Archive, progress func(done, total int64)) error
	// Remove deletes one; a missing one wraps snapshot.ErrNotFound.
	Remove(ctx context.Context, n snapshot.Name) error
	// Tail gives the end of one, which has its manifest, and the size of the whole.
	Tail(ctx context.Context, n snapshot.Name) (tail []byte, bytes int64, err error)
	// Sweep ends unfinished uploads of the names that are mine, and tells how many.
	Sweep(ctx context.Context, mine func(snapshot.Name) bool, olderThan time.Duration) (int, error)
}

// MirrorOptions say what the bucket is to hold.
type MirrorOptions struct {
	Node        string
	Policy      retention.Policy // of this node's rolling snapshots in the bucket
	OrphanAfter time.Duration    // other nodes' rolling snapshots go when the newest is older; 0: never
	// Locked tells whether an error of Remove is the bucket's object lock, which is respected and no trouble.
	Locked func(error) bool
	// Progress, if set, hears of each upload.
	Progress func(n snapshot.Name, done, total int64)
	// Recorder, if set, hears of what lies there, what waits, what comes and what goes, as it happens.
	Recorder Recorder
	// Suspects, if set, holds from one pass to the next which files here were at fault when they were to be uploaded. Such a one
	// is read and proven before a byte of it is sent. One that was replaced has another time and is a new entry. Passes that
	// share it run one after the other.
	Suspects map[snapshot.Entry]bool
}

// Mirrored is what one pass has done.
type Mirrored struct {
	Listed   bool // the bucket has told what it holds; without that nobody knows what waits
	Uploaded []snapshot.Name
	Waiting  int // wanted in the bucket and not there yet
	Removed  []snapshot.Name
	Locked   int // to be removed, and held by an object lock
	Swept    int // unfinished uploads of earlier runs
}

// Mirror compares the store with the bucket and brings over, newest first, what the policy wants there and is missing. It
// then removes what the policy does not keep, but only if the newest snapshot is there. It can be repeated at any time
// and after any crash: what it does follows from the two listings alone. What was done is returned beside an error.
func Mirror(ctx context.Context, src Source, bucket Bucket, o MirrorOptions, now time.Time) (Mirrored, error) {
	var done Mirrored
	local, err := src.List()
	if err != nil {
		return done, err
	}
	remote, err := bucket.List(ctx)
	if err != nil {
		return done, err
	}
	if o.Recorder == nil {
		o.Recorder = deaf{}
	}
	maps.DeleteFunc(o.Suspects, func(e snapshot.Entry, _ bool) bool { return !slices.Contains(local.Snapshots, e) })
	unread := recallNewest(ctx, local.Snapshots, remote, bucket, o, now)
	recordListing(remote, o, now)
	spare := slices.Concat(o.Recorder.Spare(metrics.Local), o.Recorder.Spare(metrics.S3)) // what only the disk has is brought
	p := planMirror(local.Snapshots, remote, o, now, spare...)
	p.upload = slices.DeleteFunc(p.upload, func(e snapshot.Entry) bool { return staysHere(src, e) })
	o.Recorder.Waiting(p.waiting(spare))
	done.Listed, done.Waiting = true, len(p.upload)
	if unread != nil { // what should be spared is not known
		p.prune = nil
	}
	atFault, err := p.bring(ctx, src, bucket, o, now, &done)
	if err != nil {
		return done, errors.Join(unread, atFault, err)
	}
	err = errors.Join(unread, atFault, p.remove(ctx, bucket, o, &done))
	o.Recorder.Pruned(metrics.S3, done.removedOf(o.Node)...)
	var sweepErr error
	done.Swept, sweepErr = bucket.Sweep(ctx, func(n snapshot.Name) bool { return n.Node == o.Node }, staleUpload)
	if sweepErr != nil {
		err = errors.Join(err, fmt.Errorf("sweep unfinished uploads: %w", sweepErr))
	}
	return done, err
}

// bring uploads what is missing. atFault are errors of files here, which keep no other from being brought; err is what ended it.
func (p *mirrorPlan) bring(ctx context.Context, src Source, bucket Bucket, o MirrorOptions, now time.Time, done *Mirrored) (atFault, err error) {
	for _, e := range p.upload {
		began := time.Now()
		err := MirrorOne(ctx, src, bucket, e, o)
		switch {
		case err == nil:
			o.Recorder.Uploaded(plain(e), time.Since(began))
			done.Uploaded = append(done.Uploaded, e.Name)
			done.Waiting--
			p.there[e.Name] = true
		case errors.Is(err, snapshot.ErrNotFound) || errors.Is(err, ErrLocalOnly): // pruned here meanwhile, or never wanted
			done.Waiting--
		case errors.Is(err, snapshot.ErrDamaged):
			o.Recorder.Damaged(metrics.Local, now, e.Name.String(), err.Error())
			atFault = errors.Join(atFault, err)
		case isFileError(err):
			atFault = errors.Join(atFault, err)
		default:
			return atFault, err
		}
	}
	return atFault, nil
}

// mirrorPlan follows from what lies here and there.
type mirrorPlan struct {
	upload []snapshot.Entry // newest first
	prune  []snapshot.Name  // of this node, once its newest is there
	orphan []snapshot.Name
	newest snapshot.Name // of this node here and there; zero: there is none
	there  map[snapshot.Name]bool

	decisions []retention.Decision // on this node's rolling snapshots here and there
}

func planMirror(local, remote []snapshot.Entry, o MirrorOptions, now time.Time, spare ...string) *mirrorPlan {
	p := &mirrorPlan{there: map[snapshot.Name]bool{}}
	size := map[snapshot.Name]int64{}
	for _, e := range remote {
		p.there[e.Name], size[e.Name] = true, e.Size
	}
	// The policy looks at both places at once: what the bucket misses counts as if it were there.
	all := slices.Clone(remote)
	for _, e := range local {
		if !p.there[e.Name] {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, snapshot.NewestFirst)
	keep := map[string]bool{}
	p.decisions = PlanPrune(all, o.Node, o.Policy, now, spare...)
	for _, d := range p.decisions {
		keep[d.ID] = d.Keep
	}
	for _, e := range all {
		if e.Name.Rolling(o.Node) {
			p.newest = e.Name
			break
		}
	}
	for _, e := range local {
		wanted := e.Name.Node == o.Node && (e.Name.Set != snapshot.RollingSet || keep[e.Name.String()])
		// Another size is an upload of a server that did not tell the whole truth: put it anew.
		if wanted && (!p.there[e.Name] || size[e.Name] != e.Size) {
			p.upload = append(p.upload, e)
			p.there[e.Name] = false
		}
	}
	for _, e := range remote {
		if e.Name.Rolling(o.Node) && !keep[e.Name.String()] {
			p.prune = append(p.prune, e.Name)
		}
	}
	p.orphan = orphans(remote, o, now)
	return p
}

// orphans are rolling snapshots of other nodes that have had no new one for long, but for the newest of each.
func orphans(remote []snapshot.Entry, o MirrorOptions, now time.Time) []snapshot.Name {
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

// remove deletes what is not kept. Without the newest in the bucket nothing of this node goes. Of errors it gives the first.
func (p *mirrorPlan) remove(ctx context.Context, bucket Bucket, o MirrorOptions, done *Mirrored) error {
	names := p.orphan
	if p.there[p.newest] {
		names = slices.Concat(p.prune, p.orphan)
	}
	var first error
	for failures := 0; len(names) > 0 && failures < maxRefusals; names = names[1:] {
		err := bucket.Remove(ctx, names[0])
		switch {
		case err == nil:
			done.Removed = append(done.Removed, names[0])
		case errors.Is(err, snapshot.ErrNotFound):
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

// PlanMirrorPrune decides on the bucket's rolling snapshots of this node as Mirror does, newest first, and names the
// other nodes' that have outlived OrphanAfter. arrived tells whether the node's newest is there: without it Mirror removes
// none of this node's.
func PlanMirrorPrune(local, remote []snapshot.Entry, o MirrorOptions, now time.Time) (decisions []retention.Decision, orphans []snapshot.Name, arrived bool) {
	p := planMirror(local, remote, o, now)
	for _, d := range p.decisions {
		n, err := snapshot.ParseName(d.ID)
		if err == nil && slices.ContainsFunc(remote, func(e snapshot.Entry) bool { return e.Name == n }) {
			decisions = append(decisions, d)
		}
	}
	return decisions, p.orphan, p.there[p.newest]
}

// MirrorPrune removes from the bucket what Mirror would, without uploading anything.
func MirrorPrune(ctx context.Context, local []snapshot.Entry, bucket Bucket, o MirrorOptions, now time.Time) (Mirrored, error) {
	var done Mirrored
	remote, err := bucket.List(ctx)
	if err != nil {
		return done, err
	}
	p := planMirror(local, remote, o, now)
	done.Listed, done.Waiting = true, len(p.upload)
	return done, p.remove(ctx, bucket, o, &done)
}
