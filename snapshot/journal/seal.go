package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"etcd-rolling-backup/snapshot"
)

// begin begins a segment.
func (r *Recorder) begin(ctx context.Context, first int64, now time.Time) error {
	if first != r.last+1 {
		return fmt.Errorf("%w: revision %d follows %d", ErrGap, first, r.last)
	}
	if err := r.room(); err != nil {
		return err
	}
	h := r.o.Header
	h.Restored = h.Restored && r.done == nil
	h.First, h.Before, h.Compacted, h.CreatedAt = first, r.digest, r.compacted, r.wall(now).UTC()
	name, err := snapshot.NewSegmentName(h.Node, h.CreatedAt, first, 0)
	if err != nil {
		return err
	}
	if r.part, err = r.dir.CreateSegment(ctx, name); err != nil {
		return err
	}
	r.begun, r.leases = now, map[int64]bool{}
	if r.done == nil {
		r.out, err = NewWriter(r.part, h)
	} else {
		r.out, err = r.done.next(r.part, h)
	}
	if err != nil {
		return err
	}
	for _, note := range r.notes {
		if err := r.out.Write(note); err != nil {
			return err
		}
	}
	r.notes = nil
	return nil
}

// finish completes the journal of a watch that ended.
func (r *Recorder) finish(ctx context.Context) error {
	if r.due != nil {
		if err := r.checkpoint(ctx); err != nil {
			r.due = nil
			return errors.Join(err, r.seal(ctx))
		}
	}
	return r.seal(ctx)
}

// seal completes the segment, if there is one. What follows its last checkpoint is not in it, and is watched again.
func (r *Recorder) seal(ctx context.Context) (err error) {
	if r.out == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // a stop in the middle of it would leave a segment without its name
	out, part := r.out, r.part
	r.out, r.part, r.done = nil, nil, out
	var m Manifest
	switch {
	case out.Empty():
		r.last, r.size = out.m.First-1, 0
		return part.Abort()
	case r.size > 0:
		r.size = 0
		var name snapshot.SegmentName
		if name, err = snapshot.NewSegmentName(out.m.Node, out.m.CreatedAt, out.m.First, 0); err == nil {
			if err = part.Leave(); err == nil {
				m, err = Recover(ctx, r.dir, name)
			}
		}
	default:
		if m, err = out.Finish(); err == nil {
			err = commit(ctx, part, m)
		}
	}
	if err != nil {
		_ = part.Leave() // closed already if only its name is missing; Recover completes it later
		return fmt.Errorf("complete the segment from revision %d: %w", out.m.First, err)
	}
	r.last, r.digest = m.Last, m.LastDigest
	if r.o.Sealed != nil {
		r.o.Sealed(m)
	}
	return nil
}

func commit(ctx context.Context, part *snapshot.Part, m Manifest) error {
	name, err := snapshot.ParseSegmentName(m.Name)
	if err != nil {
		return err
	}
	return part.CommitAs(ctx, name)
}
