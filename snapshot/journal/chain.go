package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"etcd-rolling-backup/snapshot"
)

// Follow chooses the segments that continue from a revision, which a snapshot has, up to the next gap. Repeated and contained ones are skipped.
// Each begins at the revision after the one before it, or overlaps it. The first one may also begin earlier. Those that are being written have no last
// revision, and are skipped too.
func Follow(names []snapshot.SegmentName, from int64) (chain []snapshot.SegmentName) {
	return FollowIn(sorted(names), func(n snapshot.SegmentName) snapshot.SegmentName { return n }, from)
}

// FollowIn is Follow for whatever has the name of a segment, in the order of snapshot.CompareSegments.
func FollowIn[T any](all []T, name func(T) snapshot.SegmentName, from int64) (chain []T) {
	at, longest := from, -1
	for i := 0; ; {
		for ; i < len(all) && name(all[i]).First <= at+1; i++ {
			if longest < 0 || name(all[i]).Last > name(all[longest]).Last {
				longest = i
			}
		}
		if longest < 0 || name(all[longest]).Last <= at {
			return chain
		}
		chain, at = append(chain, all[longest]), name(all[longest]).Last
	}
}

func sorted(names []snapshot.SegmentName) []snapshot.SegmentName {
	return slices.SortedFunc(slices.Values(names), func(a, b snapshot.SegmentName) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last))
	})
}

// blame names the segment in an error that is about it. A flipped bit can make another history of it: then it is damaged.
func (s *Segment) blame(ctx context.Context, err error) error {
	if errors.Is(err, ErrHistory) {
		if damage := s.Each(ctx, func(Record) error { return nil }); errors.Is(damage, snapshot.ErrDamaged) {
			err = damage
		}
	}
	if errors.Is(err, snapshot.ErrDamaged) {
		return &SegmentError{s.SegmentName(), err}
	}
	return err
}

// follow calls visit for the records of the segments, and for each event after the revision once. last is the digest of the revision in
// what comes before; "" if it is not known. Errors wrap ErrGap or are a SegmentError.
func follow(ctx context.Context, chain []*Segment, revision int64, last string, visit func(Record) error) error {
	for _, s := range chain {
		seen := s.Before // of the revision, in this segment
		var own digest
		switch {
		case s.ClusterID != chain[0].ClusterID:
			return s.foreign("%s is of the cluster %s, not %s", s.label(), s.ClusterID, chain[0].ClusterID)
		case s.First > revision+1:
			return fmt.Errorf("%w: %s begins after revision %d", ErrGap, s.label(), revision)
		case s.Last <= revision:
			continue
		}
		joined := func() error {
			if own.revision == revision {
				seen = own.String()
			}
			if last != "" && last != seen {
				return s.foreign("revision %d of %s differs from that before it", revision, s.label())
			}
			return nil
		}
		checked := false
		err := s.Each(ctx, func(r Record) error {
			switch {
			case r.event() && r.Revision == revision:
				own.add(r)
				return nil
			case r.event() && r.Revision < revision, r.Kind == KindHeader:
				return nil
			case r.event() && !checked:
				checked = true
				if err := joined(); err != nil {
					return err
				}
			}
			return visit(r)
		})
		if err != nil {
			return s.blame(ctx, err)
		}
		revision, last = s.Last, s.LastDigest
	}
	return nil
}
