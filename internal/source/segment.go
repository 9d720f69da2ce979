package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Segment opens a segment of the listing. One in the bucket is fetched into a file without a name in scratch. Close closes it. One that is
// being written counts up to its last checkpoint; without any, the error wraps journal.ErrEmpty. It may have been completed since it was listed.
func (l Listing) Segment(ctx context.Context, e snapshot.SegmentEntry, scratch *snapshot.Dir) (s *journal.Segment, closer io.Closer, err error) {
	f, err := l.segmentFile(ctx, e, scratch)
	if errors.Is(err, snapshot.ErrNotFound) && !e.Name.Complete() {
		if now, found, lookErr := l.completed(e.Name); found || lookErr != nil {
			e, err = now, lookErr
		}
		if err == nil {
			f, err = l.segmentFile(ctx, e, scratch)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if s, err = journal.OpenFile(ctx, f, e.Name); err != nil {
		return nil, nil, errors.Join(journal.Named(e.Name, err), f.Close())
	}
	return s, f, nil
}

// completed looks for a segment that was being written when the directory was listed under its final name.
func (l Listing) completed(n snapshot.SegmentName) (e snapshot.SegmentEntry, found bool, err error) {
	now, err := l.local.List()
	i := slices.IndexFunc(now.Segments, func(e snapshot.SegmentEntry) bool {
		return e.Name.Complete() && e.Name.Node == n.Node && e.Name.First == n.First && e.Name.Time.Equal(n.Time)
	})
	if i < 0 || err != nil {
		return e, false, err
	}
	return now.Segments[i], true, nil
}

// segmentLimit is how long the bucket may take to list the segments if the directory may have them: there may be tens of thousands.
const segmentLimit = time.Minute

// fewNodes is up to how many nodes' segments are listed. More nodes in one folder are of several clusters.
const fewNodes = 64

// addSegments lists the segments in the bucket that may continue a snapshot of a node: those of all nodes, because a member may go on where
// another one stopped; or only that node's, if very many use the folder. The directory's listing has them already.
func (r Request) addSegments(ctx context.Context, all []Listing, node string) error {
	for i := range all {
		l := &all[i]
		if l.segments == nil {
			continue
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if len(all) > 1 {
			limited, cancel = context.WithTimeoutCause(ctx, segmentLimit, fmt.Errorf("no answer within %s", segmentLimit))
		}
		nodes := r.Nodes
		if nodes == nil && l.manyNodes() {
			nodes = []string{node}
		}
		var err error
		l.Segments, err = l.segments(limited, nodes)
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && len(all) == 1:
			return err
		case err != nil:
			r.notice("warning: the journal in %s is not used: %v", l.Where, err)
		}
	}
	return nil
}

func (l Listing) manyNodes() bool {
	nodes := map[string]bool{}
	for _, e := range l.Snapshots {
		nodes[e.Name.Node] = true
	}
	return len(nodes) > fewNodes
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
