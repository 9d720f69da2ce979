package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Late are the changes right behind a moment that were received late. Some may have been made before it, and no one knows which.
type Late struct {
	First, Last int64
	At          time.Time // when the last one was received
}

// String says for people what that means.
func (l *Late) String() string {
	return fmt.Sprintf("the changes of revisions %d to %d were received late, at %s: some may have been made before this moment, and are not in this state; "+
		"log --since %d --until %d shows them, and --at REVISION takes those that you want", l.First, l.Last, l.At.UTC().Format(momentForm), l.First, l.Last)
}

// late returns those behind the revision at the time that is asked for; nil: there are none, or a revision is asked for.
func (m *moment) late(ctx context.Context, revision int64) (l *Late) {
	if m.At.Time.IsZero() || m.unchangedSince(revision) {
		return nil
	}
	for last, at := m.lateAfter(ctx, revision); last > 0; last, at = m.lateAfter(ctx, last) {
		l = &Late{First: revision + 1, Last: last, At: at}
	}
	return l
}

// unchangedSince reports that nothing had changed from the revision to the time, so what came late is younger.
func (m *moment) unchangedSince(revision int64) bool {
	return slices.ContainsFunc(m.pieces.searched, func(x *piece) bool {
		return x.Name.Last == revision && x.opened != nil && x.opened.ClusterID == m.in.Cluster && !m.unchanged(x).Before(m.At.Time)
	})
}

// lateAfter is [journal.LateAfter] of all segments with the next revision. What one node has received in time is known. The state needs none of
// them, so those that can't be read do no harm.
func (m *moment) lateAfter(ctx context.Context, revision int64) (last int64, at time.Time) {
	read := map[snapshot.SegmentName]bool{}
	for _, x := range m.pieces.searched {
		if x.Name.First > revision+1 || x.Name.Last <= revision || read[x.Name] {
			continue
		}
		if m.pieces.open(ctx, x) != nil {
			x.bad = nil
			continue
		}
		end, received, err := journal.LateAfter(ctx, x.opened, revision)
		switch {
		case err != nil || x.opened.ClusterID != m.in.Cluster:
			continue
		case end == 0:
			return 0, time.Time{}
		case end > last:
			last, at = end, received
		}
		read[x.Name] = true
	}
	return last, at
}
