package source

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// atTime returns the last revision at the time that is asked for.
func (m *moment) atTime(ctx context.Context, chosen base) (revision int64, err error) {
	t := m.At.Time
	revision, last, after, err := m.recordedAt(ctx)
	if err != nil {
		return 0, err
	}
	follows, err := m.follows(ctx, func(n snapshot.SegmentName) bool { return revision > 0 && n.First <= revision+1 && n.Last > revision })
	switch {
	case err != nil:
		return 0, err
	case follows, !after.IsZero(), last != nil && !t.After(last.opened.To):
		return revision, nil
	}
	if quiet, err := m.quiet(ctx, revision); quiet > 0 || err != nil {
		return quiet, err
	}
	if idle := m.idle(revision); idle > 0 {
		return idle, nil
	}
	if last == nil {
		return 0, m.beforeTheBegin(ctx, chosen)
	}
	unchanged := m.unchanged(last)
	if !unchanged.Before(t) {
		return revision, nil
	}
	if _, err := m.before(chosen, revision); err != nil { // then it is no help that this revision is recorded
		return 0, err
	}
	return 0, m.afterTheEnd(revision, last.opened.To, unchanged)
}

// recordedAt returns the last revision at the time that is recorded, and the segment that has it; nil: there is none. after is when the next checkpoint in the
// same segment was written; zero: it has none.
func (m *moment) recordedAt(ctx context.Context) (revision int64, last *piece, after time.Time, err error) {
	t := m.At.Time
	looked := map[string]bool{} // nodes: what they recorded before is older
	begun := slices.SortedStableFunc(slices.Values(m.pieces.searched), func(a, b *piece) int {
		return cmp.Or(b.Name.Time.Compare(a.Name.Time), cmp.Compare(b.Name.First, a.Name.First)) // several may begin in one second
	})
	for _, x := range begun { // those that begin before the time, the newest first
		if x.Name.Time.After(t) || looked[x.Name.Node] {
			continue
		}
		if err := m.pieces.open(ctx, x); err != nil {
			return 0, nil, after, err
		}
		if x.opened.ClusterID != m.in.Cluster {
			continue
		}
		r, next, err := journal.At(ctx, x.opened, t)
		if err != nil {
			return 0, nil, after, x.failed(err)
		}
		looked[x.Name.Node] = r > 0 // the first change may have come in the second of the name, and after the time
		if r > revision {
			revision, last, after = r, x, next
		}
	}
	return revision, last, after, nil
}

// afterTheEnd is the error that the journal, or a part of it before a gap, ends before the time.
func (m *moment) afterTheEnd(revision int64, received, unchanged time.Time) error {
	text := fmt.Sprintf("revision %d, received %s", revision, received.UTC().Format(momentForm))
	if !unchanged.IsZero() {
		text += ", and nothing had changed until " + unchanged.UTC().Format(momentForm)
	}
	instead := fmt.Sprintf("--at %d restores that revision", revision)
	if m.lives.Several() { // there may be two of that number
		instead = fmt.Sprintf("--at %s restores that revision", received.UTC().Format(time.RFC3339Nano))
	}
	goesOn := slices.ContainsFunc(m.pieces.searched, func(x *piece) bool { return x.Name.First > revision })
	switch ended := m.lives.Ended(m.in); {
	case goesOn:
		return m.unreachable("it is in a gap of the journal, after "+text, instead)
	case !ended.IsZero():
		return m.unreachableBetween(fmt.Sprintf("before the cluster was restored at %s, the journal ends at %s", ended.Format(momentForm), text), instead)
	}
	return m.unreachable("the journal ends at "+text, instead)
}

// follows reports that there is such a segment of the cluster. The names do not say of which cluster they are.
func (m *moment) follows(ctx context.Context, such func(snapshot.SegmentName) bool) (bool, error) {
	for _, x := range m.pieces.searched {
		if !such(x.Name) {
			continue
		}
		if err := m.pieces.open(ctx, x); err != nil {
			return false, err
		}
		if x.opened.ClusterID == m.in.Cluster {
			return true, nil
		}
	}
	return false, nil
}

// quiet returns the revision of a snapshot that was taken before the time and after the revision, if the next change came after the time; 0: there
// is no such snapshot.
func (m *moment) quiet(ctx context.Context, revision int64) (int64, error) {
	for _, b := range m.inHistory() {
		if b.taken().After(m.At.Time) {
			continue
		}
		if b.manifest.Revision <= revision {
			return 0, nil
		}
		follows, err := m.follows(ctx, func(n snapshot.SegmentName) bool {
			return n.First == b.manifest.Revision+1 && !n.Time.Before(m.At.Time.Truncate(time.Second))
		})
		if err != nil || !follows {
			return 0, err
		}
		return b.manifest.Revision, nil
	}
	return 0, nil
}
