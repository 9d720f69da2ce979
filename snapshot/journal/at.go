package journal

import (
	"context"
	"time"
)

// At finds the last revision of a segment at a time: that of the newest checkpoint before which, and at which, no checkpoint is later than t. So a
// reader that goes on from segment to segment stops where the time is passed for the first time, even if the clock was set back afterwards, and
// never returns a change that was recorded later. The revisions after it were received by next.
//
// revision is 0 if the first checkpoint is later than t; next is zero if none is. All of the segment is read: errors are those of Each.
func At(ctx context.Context, seg *Segment, t time.Time) (revision int64, next time.Time, err error) {
	err = seg.Each(ctx, func(r Record) error {
		switch {
		case r.Kind != KindCheckpoint || !next.IsZero():
		case r.At.After(t):
			next = r.At
		default:
			revision = r.Revision
		}
		return nil
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return revision, next, nil
}

// LateAfter returns the last of the revisions right behind this one that were received late, and when it was; 0: the next one came in time, or is not
// in the segment. All of the segment is read: errors are those of Each.
func LateAfter(ctx context.Context, seg *Segment, revision int64) (last int64, at time.Time, err error) {
	inTime := false
	err = seg.Each(ctx, func(r Record) error {
		if r.Kind != KindCheckpoint || r.Revision <= revision || inTime {
			return nil
		}
		if inTime = !r.Late; r.Late {
			last, at = r.Revision, r.At
		}
		return nil
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return last, at, nil
}
