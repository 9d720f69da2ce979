// Package mirror brings one bucket in sync with one directory.
//
// A pass depends only on two listings, of the directory and of the bucket. It can be interrupted anywhere and repeated at any time.
//
// Invariants: only archives that were verified are uploaded; nothing of this node is removed from the bucket while its newest snapshot
// is not there; policy and guard are applied to the union of both places; what another cluster has put there is neither replaced nor
// removed, also if it has the same node name, and even the same name.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// staleUpload is the age at which an unfinished upload of this node is aborted: no running process still works on it.
const staleUpload = 24 * time.Hour

// ErrLocalOnly marks a snapshot that must not be uploaded.
var ErrLocalOnly = errors.New("taken with --no-mirror")

// Source is where archives are uploaded from; *snapshot.Dir is one.
type Source interface {
	List() (snapshot.Listing, error)
	// File opens one archive; the error for a missing one wraps snapshot.ErrNotFound.
	File(n snapshot.Name) (*os.File, error)
}

// Bucket is where they are uploaded to; *s3.Bucket is one.
type Bucket interface {
	// List returns the snapshots in the bucket whose names begin with one of the prefixes, newest first; without any, those of all nodes.
	List(ctx context.Context, prefixes ...string) ([]snapshot.Entry, error)
	// PutArchive verifies and uploads the archive. It returns nil only if the bucket has the right size and checksum. A damaged
	// archive is never stored, and the error wraps snapshot.ErrDamaged. Without replace, another object of that name stays as it is,
	// and the error wraps snapshot.ErrExists. progress is called for all that is sent, so never if the archive was there before.
	PutArchive(ctx context.Context, n snapshot.Name, a *snapshot.Archive, replace bool, progress func(done, total int64)) error
	// Remove deletes one; the error for a missing one wraps snapshot.ErrNotFound.
	Remove(ctx context.Context, n snapshot.Name) error
	// Tail returns the end of an archive, which has the manifest, and the size of the archive.
	Tail(ctx context.Context, n snapshot.Name) (tail []byte, bytes int64, err error)
	// Sweep aborts unfinished uploads of the names that begin with one of the prefixes and for which mine is true, and returns their number.
	Sweep(ctx context.Context, prefixes []string, mine func(snapshot.Name) bool, olderThan time.Duration) (int, error)
}

// Options say what the bucket must contain.
type Options struct {
	Node        string
	Policy      retention.Policy // for this node's rolling snapshots in the bucket
	OrphanAfter time.Duration    // other nodes' rolling snapshots are removed when the newest is older; 0: never
	// LookForOrphans looks for them in this pass; otherwise a pass does that once a day, because it must list all nodes.
	LookForOrphans bool
	// Lineage returns the cluster of the node; while it is not known, nothing is removed. nil: not known.
	Lineage func() snapshot.Lineage
	// OnlySent limits Policy to what this node's daemon has uploaded, as far as Status knows: names do not say the node, and other clusters
	// may use the same folder.
	OnlySent bool
	// Journal are the segments between the snapshots; without Bucket, they are not looked at.
	Journal Journal
	// Locked reports whether an error of Remove is due to Object Lock, which is no failure.
	Locked func(error) bool
	// Progress, if set, is called during each upload.
	Progress func(n snapshot.Name, done, total int64)
	// Status records listings, pending snapshots, uploads and removals as they happen; nil: not recorded.
	Status *status.Tracker
}

// Result is the result of one pass.
type Result struct {
	Listed   bool // the bucket was listed; otherwise Pending is not known
	Uploaded []snapshot.Name
	Pending  int // to be uploaded, and not uploaded yet
	Removed  []snapshot.Name
	Locked   int // to be removed, but protected by Object Lock
	Swept    int // unfinished uploads of earlier runs that were aborted
	// Taken are names of this node's snapshots under which the bucket had something else. They are uploaded over it, if not yet by this pass.
	Taken []snapshot.Name
	// Segments of the journal that were removed.
	Segments []snapshot.SegmentEntry
}

// Pass uploads, newest first, the snapshots that the policy keeps and the bucket lacks. It then removes those that the policy does
// not keep, if the newest snapshot is there. The Result is valid with an error too.
func Pass(ctx context.Context, src Source, bucket Bucket, o Options, now time.Time) (Result, error) {
	var done Result
	local, err := src.List()
	if err != nil {
		return done, err
	}
	v := viewOf(local.Snapshots, bucket, o, now)
	remote, err := v.list(ctx)
	if err != nil {
		return done, err
	}
	v.record(remote)
	m := newManifests(src, v, now, local.Snapshots, remote)
	journal, unlisted := o.Journal.look(ctx, local)
	p, unread := makePlan(ctx, local.Snapshots, remote, journal, o, now, m)
	p.upload = slices.DeleteFunc(p.upload, func(e snapshot.Entry) bool { return staysHere(src, e) })
	o.Status.SetPending(now, names(p.upload))
	done.Listed, done.Pending = true, len(p.upload)
	for _, n := range names(p.upload) {
		if p.replace[n] {
			done.taken(n, now, o)
		}
	}
	badFiles, err := p.bring(ctx, m, o, &done)
	if err != nil || unlisted != nil { // without the journal, it is not known what it needs
		return done, errors.Join(unlisted, unread, badFiles, err)
	}
	err = errors.Join(unread, badFiles, p.remove(ctx, bucket, o, &done), p.removeSegments(ctx, o, false, &done))
	o.Status.Pruned(status.S3, now, slices.DeleteFunc(slices.Clone(done.Removed), func(n snapshot.Name) bool { return !n.OfNode(o.Node) }), nil)
	var sweepErr error
	done.Swept, sweepErr = bucket.Sweep(ctx, v.prefixes, func(n snapshot.Name) bool { return n.OfNode(o.Node) }, staleUpload)
	if sweepErr != nil {
		err = errors.Join(err, fmt.Errorf("abort unfinished uploads: %w", sweepErr))
	}
	return done, err
}

// bring uploads what is missing. badFiles are errors of single snapshots, which do not prevent other uploads; err is the error that
// stopped it.
func (p *plan) bring(ctx context.Context, m *manifests, o Options, done *Result) (badFiles, err error) {
	for _, e := range p.upload {
		if c, known := o.Status.Known(status.Local, e); known && c.Damage != "" { // found by an earlier pass, which need not be repeated
			badFiles = errors.Join(badFiles, fmt.Errorf("mirror %s: %w and not set aside yet: %s", e.Name, snapshot.ErrDamaged, c.Damage))
			continue
		}
		began := time.Now()
		err := p.uploadOne(ctx, m, e, o)
		switch {
		case err == nil:
			o.Status.Uploaded(m.copyOf(e), time.Since(began))
			done.Uploaded = append(done.Uploaded, e.Name)
			done.Pending--
			p.there[e.Name] = true
		// Pruned or set aside meanwhile, or never wanted, or of another program.
		case errors.Is(err, snapshot.ErrNotFound), errors.Is(err, ErrLocalOnly), errors.Is(err, snapshot.ErrNoManifest):
			done.Pending--
			o.Status.NotPending(e.Name)
		case errors.Is(err, errThere):
			done.Pending--
			o.Status.NotPending(e.Name)
			p.there[e.Name] = true
		case errors.Is(err, snapshot.ErrDamaged):
			o.Status.SetDamaged(status.Local, m.now, e.Name, err)
			badFiles = errors.Join(badFiles, err)
		case errors.Is(err, errTaken):
			done.taken(e.Name, m.now, o)
			badFiles = errors.Join(badFiles, err)
		case IsFileError(err), errors.Is(err, snapshot.ErrExists), errors.Is(err, snapshot.ErrNoDigest):
			badFiles = errors.Join(badFiles, err)
		default:
			return badFiles, err
		}
	}
	return badFiles, nil
}

func (r *Result) taken(n snapshot.Name, now time.Time, o Options) {
	r.Taken = append(r.Taken, n)
	o.Status.NameTaken(n, now)
}

// errTaken marks a snapshot whose name has got other contents since the bucket was listed. The next pass stores it again.
var errTaken = errors.New("something else was stored under its name meanwhile")

// errThere marks a snapshot that another process has uploaded since the bucket was listed. It is in line, and not an upload of this pass.
var errThere = errors.New("uploaded by another process")

// uploadOne uploads a snapshot, unless another cluster's has its name. A listing is not always up to date, so the server decides in the
// end whether the name is free.
func (p *plan) uploadOne(ctx context.Context, m *manifests, e snapshot.Entry, o Options) error {
	if !m.clash(e.Name) {
		sent, err := upload(ctx, m.src, m.view.bucket, e, p.replace[e.Name], o.Progress)
		exists := errors.Is(err, snapshot.ErrExists)
		if err != nil && !exists || err == nil && sent {
			return err
		}
		if exists {
			m.readAll(ctx, []snapshot.Entry{{Name: e.Name}})
			if _, read := m.object(e.Name); !read {
				return cmp.Or(m.failed, err)
			}
		}
		if !m.clash(e.Name) {
			err := m.view.unlisted(ctx, e.Name)
			if exists && e.Name.File == "" && errors.Is(err, errThere) { // names that do not say the node may be another one's
				err = fmt.Errorf("mirror %s: %w: %w", e.Name, snapshot.ErrExists, errTaken)
			}
			return err
		}
	}
	here, _ := m.file(e) // read before
	there, _ := m.object(e.Name)
	return fmt.Errorf("mirror %s: %w in the bucket, but that one is of cluster %s, and this one of cluster %s: "+
		"give each cluster its own --s3-folder", e.Name, snapshot.ErrExists, there.Cluster, here.Cluster)
}

func (o Options) lineage() snapshot.Lineage {
	if o.Lineage == nil {
		return snapshot.Lineage{}
	}
	return o.Lineage()
}

func names(entries []snapshot.Entry) []snapshot.Name {
	var out []snapshot.Name
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return out
}

// staysHere reports whether a snapshot was taken with --no-mirror, which only its manifest says. The daemon's own never are. If the
// manifest can't be read, it returns false, and the upload reports the error.
func staysHere(src Source, e snapshot.Entry) bool {
	if e.Name.Set == snapshot.RollingSet {
		return false
	}
	m, err := localManifest(src, e)
	return err == nil && m.LocalOnly
}
