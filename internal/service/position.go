package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// position is where the journal continues.
type position struct {
	cluster snapshot.ID
	from    int64                  // the watch of a new range begins with it, and nothing is recorded yet; 0: something is, or there is no journal
	last    int64                  // revision in the journal; 0: none
	digest  string                 // of it
	time    time.Time              // when it was received
	base    int64                  // the revision that a snapshot must have at least, for the journal to continue it
	before  map[snapshot.Name]bool // snapshots from before the range, which may be of another history; nil: the range was begun by an earlier process, or is the first
	head    int64                  // of the cluster when the watch was opened
	there   map[snapshot.Name]bool // the snapshots at that moment
	back    bool                   // etcd was restored before the range
	lost    string                 // why the journal cannot continue; "": it can
	gap     int64                  // the last revision, when etcd last did not show the next one
}

// of reports whether the journal can continue with a member of this cluster.
func (p *position) of(cluster snapshot.ID) bool { return p.cluster == 0 || p.cluster == cluster }

// next is the revision with which the next watch begins; 0: there is nothing to continue.
func (p *position) next() int64 { return max(p.last, p.from) }

// sealed moves it behind a complete segment.
func (p *position) sealed(m journal.Manifest) {
	p.cluster, p.last, p.digest, p.time, p.from = m.ClusterID, m.Last, m.LastDigest, m.To, 0
	p.back = false
}

// begin begins a range with a revision, which the watch includes. there are the snapshots from before.
func (r *recorder) begin(cluster snapshot.ID, from int64, there map[snapshot.Name]bool) {
	next := position{cluster: cluster, from: from, base: from, back: r.at.back}
	if r.at.next() > 0 { // the newest snapshot may be of another history of the same cluster
		next.before = there
	}
	r.at = next
}

// plan says where the watch begins.
func (r *recorder) plan(m *member.Member, maxBehind int64) daemon.JournalStart {
	head, cluster, last := m.Source().Revision, m.Source().ClusterID, r.at.next()
	s := daemon.JournalStart{Endpoint: m.Endpoint(), Revision: last}
	switch {
	case last == 0:
		s.New = "there is none yet"
	case !r.at.of(cluster):
		s.New = fmt.Sprintf("etcd is the cluster %s now, and the journal is of %s", cluster, r.at.cluster)
	case r.at.lost != "":
		s.New = r.at.lost
	case head < last:
		r.at.back = true
		s.New = fmt.Sprintf("etcd was restored: it is at revision %d, and the journal at %d", head, last)
	case head-last > maxBehind:
		s.New = fmt.Sprintf("etcd is %d revisions ahead, more than --journal-max-behind", head-last)
	default:
		return s
	}
	s.Revision, s.Gap = head, r.at.last > 0
	return s
}

// ended notes what prevents the next watch from continuing, after one that began with a revision.
func (r *recorder) ended(from int64, err error) error {
	switch {
	case errors.Is(err, member.ErrCompacted) && from < r.at.next(): // the next one begins later
	case errors.Is(err, member.ErrCompacted):
		r.at.lost = fmt.Sprintf("etcd has compacted what followed revision %d", r.at.next())
	case errors.Is(err, journal.ErrHistory):
		r.at.back = true
		r.at.lost = fmt.Sprintf("etcd was restored: its revisions up to %d are not those of the journal", r.at.next())
	case errors.Is(err, journal.ErrGap) && r.at.gap == r.at.next(): // a second watch did not show it either
		r.at.lost = fmt.Sprintf("etcd does not show what followed revision %d", r.at.next())
	case errors.Is(err, journal.ErrGap):
		r.at.gap = r.at.next()
	}
	return err
}

// resume completes what a dead writer, or a full disk, has left, and finds the newest segment of this node.
func (r *recorder) resume(ctx context.Context, node string, l snapshot.Listing) error {
	var names []snapshot.SegmentName
	for _, s := range l.Segments {
		switch {
		case s.Name.Node != node:
		case s.Name.Complete():
			names = append(names, s.Name)
		default:
			m, err := journal.Recover(ctx, r.dir, s.Name)
			switch {
			case errors.Is(err, journal.ErrEmpty) || errors.Is(err, snapshot.ErrNotFound):
			case ctx.Err() != nil || err != nil && (noSpace(err) || onDisk(err)):
				return err
			case err != nil: // the watch shows again what is in it
				r.log.WithError(err).Warn("an incomplete segment of the journal can't be completed")
			case r.at.last+1 == m.First && r.at.of(m.ClusterID):
				r.at.sealed(m)
			default:
				if n, err := snapshot.NewSegmentName(m.Node, m.CreatedAt, m.First, m.Last); err == nil {
					names = append(names, n)
				}
			}
		}
	}
	if r.at.next() == 0 {
		r.find(ctx, names, r.newestBase(node, l).Revision)
	}
	return nil
}

// find looks for the newest segment that can be read, and for the beginning of its range, as far back as the newest snapshot. The clock may have
// been set meanwhile: what it has dated in the future comes last, and what continues the newest segment is newer.
func (r *recorder) find(ctx context.Context, names []snapshot.SegmentName, base int64) {
	now := r.now()
	future := func(n snapshot.SegmentName) int { return max(n.Time.Compare(now), 0) }
	slices.SortFunc(names, func(a, b snapshot.SegmentName) int {
		return cmp.Or(cmp.Compare(future(a), future(b)), b.Time.Compare(a.Time), cmp.Compare(b.Last, a.Last))
	})
	for _, n := range names {
		m, err := r.manifest(ctx, n)
		if err != nil {
			r.log.WithError(err).WithField("segment", n.String()).Warn("a segment of the journal can't be read")
			continue
		}
		for next := &m; next != nil; next = r.behind(ctx, names, m) {
			m = *next
		}
		r.at.sealed(m)
		r.at.base = m.First - 1
		for base > 0 && base < r.at.base {
			before := r.before(ctx, names, m)
			if before == nil {
				return
			}
			m, r.at.base = *before, before.First-1
		}
		return
	}
}

// behind returns the segment that continues another one; nil: there is none that can be read.
func (r *recorder) behind(ctx context.Context, names []snapshot.SegmentName, m journal.Manifest) *journal.Manifest {
	return r.pick(ctx, names, func(n snapshot.SegmentName) bool { return n.First == m.Last+1 }, func(x journal.Manifest) bool { return joined(m, x) })
}

// before returns the one that it continues.
func (r *recorder) before(ctx context.Context, names []snapshot.SegmentName, m journal.Manifest) *journal.Manifest {
	return r.pick(ctx, names, func(n snapshot.SegmentName) bool { return n.Last == m.First-1 }, func(x journal.Manifest) bool { return joined(x, m) })
}

func (r *recorder) pick(ctx context.Context, names []snapshot.SegmentName, such func(snapshot.SegmentName) bool, fits func(journal.Manifest) bool) *journal.Manifest {
	for _, n := range names {
		if !such(n) {
			continue
		}
		if m, err := r.manifest(ctx, n); err == nil && fits(m) {
			return &m
		}
	}
	return nil
}

// joined reports that the second segment was recorded after the first one, in the same history.
func joined(a, b journal.Manifest) bool {
	return a.ClusterID == b.ClusterID && a.LastDigest == b.Before
}

// manifest reads that of a complete segment.
func (r *recorder) manifest(ctx context.Context, n snapshot.SegmentName) (journal.Manifest, error) {
	f, err := r.dir.OpenSegment(n)
	if err != nil {
		return journal.Manifest{}, err
	}
	defer f.Close()
	s, err := journal.OpenFile(ctx, f, n)
	if err != nil {
		return journal.Manifest{}, err
	}
	return s.Manifest, nil
}
