package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Segment opens a segment of the listing. One in the bucket is fetched into a file without a name in scratch. Close closes it. One that is
// being written counts up to its last checkpoint; without any, the error wraps journal.ErrEmpty.
func (l Listing) Segment(ctx context.Context, e snapshot.SegmentEntry, scratch *snapshot.Dir) (s *journal.Segment, closer io.Closer, err error) {
	f, err := l.segmentFile(ctx, e, scratch)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && e.Name.Complete() {
		s, err = journal.Open(f, info.Size())
	} else if err == nil {
		s, err = journal.OpenPart(ctx, f, info.Size())
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", e.Name, err), f.Close())
	}
	return s, f, nil
}

func (l Listing) segmentFile(ctx context.Context, e snapshot.SegmentEntry, scratch *snapshot.Dir) (*os.File, error) {
	if l.local != nil {
		return l.local.OpenSegment(e.Name)
	}
	body, size, err := l.getSegment(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	f, err := scratch.Fetch(ctx, body, size, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", e.Name, err)
	}
	return f, nil
}
