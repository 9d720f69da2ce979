package journal

import (
	"context"
	"errors"
	"fmt"

	"etcd-rolling-backup/snapshot"
)

// Recover completes a segment whose writer died: a copy of what counts of it gets the final name, and then the partial file is removed. If nothing
// counts, it is removed, and the error wraps ErrEmpty. One that is being written wraps snapshot.ErrInUse.
func Recover(ctx context.Context, dir *snapshot.Dir, n snapshot.SegmentName) (m Manifest, err error) {
	f, err := dir.TakeSegment(n)
	if err != nil {
		return m, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return m, err
	}
	s, err := OpenPart(ctx, f, info.Size())
	if err == nil {
		m, err = copySegment(ctx, dir, s)
	}
	switch {
	case err == nil, errors.Is(err, ErrEmpty), errors.Is(err, snapshot.ErrExists): // recovered before
		return m, errors.Join(skip(err, snapshot.ErrExists), dir.RemoveSegment(ctx, n))
	}
	return m, fmt.Errorf("recover %s: %w", n, Unnamed(err))
}

func skip(err, of error) error {
	if errors.Is(err, of) {
		return nil
	}
	return err
}

// copySegment writes a segment again, as a complete one.
func copySegment(ctx context.Context, dir *snapshot.Dir, s *Segment) (m Manifest, err error) {
	name, err := snapshot.NewSegmentName(s.Node, s.CreatedAt, s.First, s.Last)
	if err != nil {
		return m, err
	}
	part, err := dir.CreateSegment(ctx, name)
	if err != nil {
		return s.Manifest, err
	}
	w, err := NewWriter(part, s.Header)
	if err == nil {
		err = s.Each(ctx, func(r Record) error {
			switch r.Kind {
			case KindHeader:
				return nil
			case KindCheckpoint:
				return w.Checkpoint(r.At, r.Late)
			}
			return w.Write(r)
		})
	}
	if err == nil {
		m, err = w.Finish()
	}
	if err == nil {
		err = part.CommitAs(ctx, name)
	}
	if err != nil {
		return m, errors.Join(err, part.Abort()) // what it was copied from stays
	}
	return m, nil
}
