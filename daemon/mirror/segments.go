package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// SegmentSource is where segments of the journal are uploaded from; *snapshot.Dir is one.
type SegmentSource interface {
	List() (snapshot.Listing, error)
	// OpenSegment opens one; the error for a missing one wraps snapshot.ErrNotFound.
	OpenSegment(n snapshot.SegmentName) (*os.File, error)
	// SegmentEnd is when the last revision of one was received; zero: not known.
	SegmentEnd(n snapshot.SegmentName) time.Time
}

// SegmentBucket is where they are uploaded to; *s3.Bucket is one.
type SegmentBucket interface {
	prune.Segments
	// ListSegments returns those of some nodes.
	ListSegments(ctx context.Context, nodes []string) ([]snapshot.SegmentEntry, error)
	// PutSegment is PutArchive of Bucket.
	PutSegment(ctx context.Context, s *snapshot.SealedSegment, replace bool) error
}

// segmentInterval is how often the segments in the bucket are listed if no snapshot is mirrored.
const segmentInterval = 24 * time.Hour

// Segments remembers which segments of this node the bucket has, so that it need not be listed for each new one. The zero value knows nothing.
// It is safe for concurrent use.
type Segments struct {
	mu       sync.Mutex
	listed   time.Time // zero: nothing is known
	there    map[snapshot.SegmentName]segment
	unneeded map[snapshot.SegmentName]bool      // according to the last pass; they are not uploaded
	foreign  map[snapshot.SegmentName]time.Time // those in the bucket that are of other clusters, and when that was read
	bad      map[snapshot.SegmentName]error     // not tried again until the next listing: the file, or what has its name in the bucket, is bad
}

type segment struct {
	snapshot.SegmentEntry
	put time.Time // when it was uploaded; zero: it was listed
}

// known reports whether what the bucket has is known.
func (s *Segments) known(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.listed.IsZero() && now.Sub(s.listed).Abs() < segmentInterval
}

// never reports that the bucket has not been listed yet.
func (s *Segments) never() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there == nil
}

// set records a listing that was begun at a time. What was uploaded since then may be missing in it.
func (s *Segments) set(listed []snapshot.SegmentEntry, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[snapshot.SegmentName]segment{}
	for n, x := range s.there {
		if !x.put.Before(began) {
			there[n] = x
		}
	}
	for _, e := range listed {
		there[e.Name] = segment{SegmentEntry: e}
	}
	s.there, s.listed, s.bad = there, began, map[snapshot.SegmentName]error{}
}

// forget lets the next upload list the bucket.
func (s *Segments) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = time.Time{}
}

func (s *Segments) add(e snapshot.SegmentEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[e.Name] = segment{e, time.Now()}
}

// isForeign reports that a segment in the bucket is of another cluster, as it was read not long ago: after a restore it may be one of the node's.
func (s *Segments) isForeign(n snapshot.SegmentName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, read := s.foreign[n]
	return read && time.Since(at).Abs() < segmentInterval
}

// removed records what a pass does not need, what of that it has removed, and what is of other clusters.
func (s *Segments) removed(unneeded []snapshot.SegmentEntry, done prune.SegmentsRemoved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unneeded = map[snapshot.SegmentName]bool{}
	for _, e := range unneeded {
		s.unneeded[e.Name] = true
	}
	for _, e := range done.Removed {
		delete(s.there, e.Name)
	}
	now, foreign := time.Now(), map[snapshot.SegmentName]time.Time{}
	for n, at := range s.foreign {
		if _, has := s.there[n]; has && now.Sub(at).Abs() < segmentInterval {
			foreign[n] = at
		}
	}
	for _, n := range done.Foreign {
		if _, known := foreign[n]; !known {
			foreign[n] = now
		}
	}
	s.foreign = foreign
}

// all returns what the bucket has.
func (s *Segments) all() []snapshot.SegmentEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]snapshot.SegmentEntry, 0, len(s.there))
	for _, x := range s.there {
		out = append(out, x.SegmentEntry)
	}
	slices.SortFunc(out, func(a, b snapshot.SegmentEntry) int { return snapshot.CompareSegments(a.Name, b.Name) })
	return out
}

// missing returns those of some files that the bucket lacks, or has with another size.
func (s *Segments) missing(files []snapshot.SegmentEntry) []snapshot.SegmentEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(files, func(e snapshot.SegmentEntry) bool {
		x, has := s.there[e.Name]
		return has && x.Size == e.Size || s.unneeded[e.Name]
	})
}

// empty reports that the bucket has an empty object of the name: where nothing may be removed, that is what becomes of a failed upload.
func (s *Segments) empty(n snapshot.SegmentName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, has := s.there[n]
	return has && x.Size == 0
}

func (s *Segments) setBad(n snapshot.SegmentName, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[n] = err
}

func (s *Segments) badness(n snapshot.SegmentName) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad[n]
}

// Journal says how the segments are mirrored.
type Journal struct {
	Node   string
	Source SegmentSource
	Bucket SegmentBucket
	On     bool          // segments are recorded; otherwise there may be some from when they were
	Known  *Segments     // what earlier calls know
	Keep   time.Duration // how far back any moment must stay restorable from the bucket; 0: nothing is removed because of its age
	Status *status.Tracker
}

// Uploaded is the result of UploadSegments.
type Uploaded struct {
	Segments []snapshot.SegmentName
	Pending  int   // complete, and not in the bucket
	Bytes    int64 // of these
}

// recordEvery is how many uploads are between two records of how far it is.
const recordEvery = 50

// UploadSegments uploads the complete segments that the bucket lacks: first those that continue the newest snapshot, in order, because from it a
// restore begins; then those that continue the one before it, and so on. It lists the bucket if it does not know what is there, or not after an
// error. The result is valid with an error too.
func (j Journal) UploadSegments(ctx context.Context, now time.Time) (done Uploaded, err error) {
	l, err := j.Source.List()
	if err != nil {
		return done, err
	}
	files := ofSegments(l.Segments, j.Node)
	if len(files) == 0 && !j.On {
		return done, nil
	}
	if !j.Known.known(now) {
		if _, err = j.list(ctx); err != nil && j.Known.never() {
			return done, err
		}
	}
	missing := j.Known.missing(files)
	for _, e := range missing {
		done.Pending, done.Bytes = done.Pending+1, done.Bytes+e.Size
	}
	defer func() { j.record(done) }()
	if err != nil { // what waits meanwhile is known from the listing before
		return done, err
	}
	var bad error
	for i, e := range inUploadOrder(missing, j.revisions(l)) {
		switch {
		case i == 0:
			j.Status.SetWaitingSegments(done.Pending, done.Bytes)
		case i%recordEvery == 0:
			j.record(done)
		}
		failed := j.Known.badness(e.Name)
		if failed == nil {
			failed = j.upload(ctx, e)
		}
		switch {
		case failed == nil:
			j.Known.add(e)
			done.Segments = append(done.Segments, e.Name)
			done.Pending, done.Bytes = done.Pending-1, done.Bytes-e.Size
		case IsFileError(failed) && errors.Is(failed, snapshot.ErrNotFound): // pruned meanwhile
			done.Pending, done.Bytes = done.Pending-1, done.Bytes-e.Size
		case errors.Is(failed, snapshot.ErrDamaged), errors.Is(failed, snapshot.ErrExists), IsFileError(failed):
			j.Known.setBad(e.Name, failed)
			bad = cmp.Or(bad, failed)
		default:
			j.Known.forget()
			return done, failed
		}
	}
	return done, bad
}

func (j Journal) upload(ctx context.Context, e snapshot.SegmentEntry) error {
	f, err := j.Source.OpenSegment(e.Name)
	if err != nil {
		return fmt.Errorf("mirror: %w", &fileError{err})
	}
	defer f.Close()
	s, err := snapshot.OpenSegmentFile(f, e.Name)
	if err != nil {
		return fmt.Errorf("mirror: %w", &fileError{err})
	}
	err = j.Bucket.PutSegment(ctx, s, false)
	if errors.Is(err, snapshot.ErrExists) && j.Known.empty(e.Name) {
		err = j.Bucket.PutSegment(ctx, s, true)
	}
	return err
}

// list lists the bucket.
func (j Journal) list(ctx context.Context) ([]snapshot.SegmentEntry, error) {
	began := time.Now()
	listed, err := j.Bucket.ListSegments(ctx, []string{j.Node})
	if err != nil {
		return nil, err
	}
	j.Known.set(listed, began)
	return listed, nil
}

// record records what the bucket has and lacks.
func (j Journal) record(done Uploaded) {
	j.Status.SetSegments(status.S3, j.Known.all(), j.Source.SegmentEnd)
	j.Status.SetWaitingSegments(done.Pending, done.Bytes)
}

// revisions are those of the snapshots that a segment may continue, the newest first, as far as they are known.
func (j Journal) revisions(l snapshot.Listing) (out []int64) {
	for _, e := range l.Snapshots {
		if c, known := j.Status.Known(status.Local, e); known && c.Revision > 0 {
			out = append(out, c.Revision)
		}
	}
	return out
}

// ofSegments returns the complete ones of a node.
func ofSegments(all []snapshot.SegmentEntry, node string) []snapshot.SegmentEntry {
	return slices.DeleteFunc(slices.Clone(all), func(e snapshot.SegmentEntry) bool { return e.Name.Node != node || !e.Name.Complete() })
}

// inUploadOrder orders segments by the snapshots that they continue, those of the first one first. all is in the order of the revisions.
func inUploadOrder(all []snapshot.SegmentEntry, bases []int64) []snapshot.SegmentEntry {
	newestFirst := func(e snapshot.SegmentEntry) int {
		if i := slices.IndexFunc(bases, func(r int64) bool { return e.Name.Last > r }); i >= 0 {
			return i
		}
		return len(bases)
	}
	return slices.SortedStableFunc(slices.Values(all), func(a, b snapshot.SegmentEntry) int { return cmp.Compare(newestFirst(a), newestFirst(b)) })
}

// wanted reports whether a pass must look at the segments in the bucket: there may be some.
func (j Journal) wanted(local snapshot.Listing) bool {
	if j.Bucket == nil || j.Node == "" {
		return false
	}
	return j.On || len(ofSegments(local.Segments, j.Node)) > 0 || j.Known.never() || len(j.Known.all()) > 0
}

// look lists the segments in the bucket for a pass, and returns those of both places.
func (j Journal) look(ctx context.Context, local snapshot.Listing) (prune.Journal, error) {
	if !j.wanted(local) {
		return prune.Journal{}, nil
	}
	listed, err := j.list(ctx)
	if err != nil {
		return prune.Journal{}, err
	}
	return prune.Journal{Keep: j.Keep, Segments: slices.Concat(local.Segments, listed)}, nil
}

// prune removes from the bucket what a pass found unneeded, or with dryRun says what it would remove.
func (j Journal) prune(ctx context.Context, u prune.Unneeded, locked func(error) bool, dryRun bool) (prune.SegmentsRemoved, error) {
	if j.Bucket == nil {
		return prune.SegmentsRemoved{}, nil
	}
	all := u.Segments
	there := map[snapshot.SegmentName]bool{}
	for _, e := range j.Known.all() {
		there[e.Name] = true
	}
	u.Segments = slices.DeleteFunc(slices.Clone(all), func(e snapshot.SegmentEntry) bool { return !there[e.Name] })
	u.Foreign = j.Known.isForeign
	done, err := u.Remove(ctx, j.Bucket, locked, dryRun)
	if !dryRun {
		j.Known.removed(all, done)
	}
	return done, err
}
