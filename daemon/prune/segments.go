package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// Journal says which segments there are between the snapshots, and for how long any moment must stay restorable.
type Journal struct {
	Keep     time.Duration           // 0: the journal is not looked at
	Segments []snapshot.SegmentEntry // in the place; those of other nodes do not count
}

// Segments is a place with segments of the journal.
type Segments interface {
	// Sealed reads the manifest of a complete segment. A missing one wraps snapshot.ErrNotFound, a damaged one snapshot.ErrDamaged.
	Sealed(ctx context.Context, n snapshot.SegmentName) (*snapshot.SealedSegment, error)
	// RemoveSegment deletes one for good; a missing one wraps snapshot.ErrNotFound.
	RemoveSegment(ctx context.Context, n snapshot.SegmentName) error
}

// maxSegments is how many segments are removed at a time, maxRefused how many of them may fail before the rest is left to the next time.
const (
	maxSegments = 1000
	maxRefused  = 3
)

// own returns the segments of the node.
func (s Scope) own() []snapshot.SegmentEntry {
	if s.Node == "" || s.Journal.Keep <= 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Journal.Segments), func(e snapshot.SegmentEntry) bool { return e.Name.Node != s.Node })
}

// keepForJournal keeps the snapshots that the journal needs, and returns the segments that nothing needs.
func keepForJournal(plan []retention.Decision, s Scope, now time.Time) []snapshot.SegmentEntry {
	own, byID := s.own(), map[string]snapshot.SegmentEntry{}
	segments := make([]retention.Segment, 0, len(own))
	for _, e := range own {
		n := e.Name
		if id := n.String(); byID[id].Name != n { // it may be listed in two places
			byID[id] = e
			segments = append(segments, retention.Segment{ID: id, Begun: n.Time, First: n.First, Last: n.Last})
		}
	}
	var out []snapshot.SegmentEntry
	for _, id := range retention.Journal(plan, segments, s.Journal.Keep, now) {
		out = append(out, byID[id])
	}
	return out
}

// LocalSegments removes the segments of a directory that are not needed, oldest first, or with dryRun says which. What it returns counts next to an
// error. It is to be called after Local.
func LocalSegments(ctx context.Context, store Store, place Segments, s Scope, now time.Time, details Details, dryRun bool) ([]snapshot.SegmentEntry, error) {
	l, err := store.List()
	if err != nil {
		return nil, err
	}
	s.Journal.Segments = l.Segments
	_, unneeded, err := Plan(ctx, l.Snapshots, s, now, details)
	if err != nil {
		return nil, err
	}
	done, err := unneeded.Remove(ctx, place, nil, dryRun)
	return done.Removed, err
}

// Unneeded are segments that no moment within the journal's horizon needs.
type Unneeded struct {
	Segments []snapshot.SegmentEntry // by their names
	// Foreign says which are known to be of other clusters, so that their manifests need not be read again; nil: none.
	Foreign func(n snapshot.SegmentName) bool

	lineage snapshot.Lineage
}

// SegmentsRemoved is what Remove has done.
type SegmentsRemoved struct {
	Removed []snapshot.SegmentEntry
	Locked  int                    // Object Lock protects them, and most likely the later ones, which were not tried
	Foreign []snapshot.SegmentName // of other clusters: they stay
}

// Remove removes those of the lineage, and no others: their names do not say the cluster. locked says which errors are due to Object Lock, which
// is no failure; nil: none. With dryRun it removes nothing.
func (u Unneeded) Remove(ctx context.Context, place Segments, locked func(error) bool, dryRun bool) (done SegmentsRemoved, err error) {
	r := &removal{place: place, locked: locked, dryRun: dryRun}
	var damaged []snapshot.SegmentEntry
	for _, e := range u.Segments {
		if r.over(ctx) {
			break
		}
		if u.Foreign != nil && u.Foreign(e.Name) {
			r.done.Foreign = append(r.done.Foreign, e.Name)
			continue
		}
		sealed, err := place.Sealed(ctx, e.Name)
		switch {
		case errors.Is(err, snapshot.ErrNotFound): // another process was faster
		case errors.Is(err, snapshot.ErrDamaged):
			damaged = append(damaged, e)
		case err != nil:
			r.refuse(err)
		case u.lineage.Has(sealed.Cluster):
			r.remove(ctx, e)
		default:
			r.done.Foreign = append(r.done.Foreign, e.Name)
		}
	}
	for _, e := range damaged {
		if len(r.done.Foreign) == 0 && !r.over(ctx) { // else it might be another cluster's
			r.remove(ctx, e)
		}
	}
	return r.done, r.failed
}

type removal struct {
	place   Segments
	locked  func(error) bool
	dryRun  bool
	done    SegmentsRemoved
	refused int
	failed  error
}

func (r *removal) over(ctx context.Context) bool {
	return len(r.done.Removed) == maxSegments && !r.dryRun || r.refused == maxRefused || r.done.Locked == maxRefused || ctx.Err() != nil
}

func (r *removal) refuse(err error) {
	r.refused++
	r.failed = errors.Join(r.failed, fmt.Errorf("prune the journal: %w", err))
}

func (r *removal) remove(ctx context.Context, e snapshot.SegmentEntry) {
	var err error
	if !r.dryRun {
		err = r.place.RemoveSegment(ctx, e.Name)
	}
	switch {
	case err == nil || errors.Is(err, snapshot.ErrNotFound):
		r.done.Removed = append(r.done.Removed, e)
	case r.locked != nil && r.locked(err):
		r.done.Locked++
	default:
		r.refuse(err)
	}
}
