package journal

import (
	"context"
	"fmt"
	"time"
)

// Received returns when a revision of a segment was received. All of the segment is read: errors are those of Each, or wrap ErrRevision.
func Received(ctx context.Context, seg *Segment, revision int64) (at time.Time, err error) {
	err = seg.Each(ctx, func(r Record) error {
		if r.Kind == KindCheckpoint && r.Revision >= revision && at.IsZero() {
			at = r.At
		}
		return nil
	})
	if err == nil && (at.IsZero() || revision < seg.First) {
		err = fmt.Errorf("%w: %d is not in %s", ErrRevision, revision, seg.label())
	}
	return at, err
}
