package journal

import (
	"context"
	"fmt"
	"time"
)

// batch makes what was written count, now or with what comes soon.
func (r *Recorder) batch(ctx context.Context) error {
	wait := batchTime - r.came.Sub(r.counts)
	switch {
	case wait <= 0 || r.late() || r.size >= largeBatch:
		return r.checkpoint(ctx)
	case r.due == nil:
		r.due = time.After(wait)
	}
	return nil
}

// late reports that etcd may have had some of the revisions since the last checkpoint before the watch was opened, or while the recorder stood still.
func (r *Recorder) late() bool {
	return !r.stood.IsZero() || max(r.out.m.Last, r.out.m.First-1) < r.head
}

// checkpoint makes what was written count, and completes a segment that is large or old enough.
func (r *Recorder) checkpoint(ctx context.Context) error {
	if err := r.out.Checkpoint(r.wall(r.came), r.late()); err != nil {
		return err
	}
	r.size, r.due, r.counts, r.synced = 0, nil, time.Now(), false
	if r.out.Size() >= r.o.SealSize || r.came.Sub(r.begun) >= r.o.Seal {
		return r.seal(ctx)
	}
	return nil
}

// sync makes what was written safe from a loss of power.
func (r *Recorder) sync(ctx context.Context) error {
	if r.due != nil {
		if err := r.checkpoint(ctx); err != nil {
			return err
		}
		r.seen(nil)
	}
	switch {
	case r.out == nil:
		return nil
	case r.size == 0 && time.Since(r.begun) >= r.o.Seal:
		return r.seal(ctx)
	case r.synced:
		return nil
	}
	r.synced = true
	if err := r.room(); err != nil {
		return err
	}
	if err := r.part.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

func (r *Recorder) room() error {
	if r.o.Room == nil {
		return nil
	}
	return r.o.Room()
}
