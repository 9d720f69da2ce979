package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Continuation is the part of the journal that continues a snapshot.
type Continuation struct {
	Segments []*journal.Segment // in order
	Places   []string           // where they are, for people
	Base     int64              // the revision of the snapshot
	Revision int64              // of the state that is asked for
	At       time.Time          // when that revision was received; zero: it is the snapshot's own
	End      int64              // the newest revision that continues the snapshot without a gap
	EndAt    time.Time
	// Unchanged is until when nothing had changed after the end, if that is the state: it is the state of each moment until then. Zero: not known.
	Unchanged time.Time
	Late      *Late // what may have been made before the time that is asked for, and is not in the state; nil: nothing is known to be
	Beyond    int64 // the newest revision of the cluster in the journal, behind a gap or a damaged segment; 0: there is none after End
	Size      int64 // of the records, bytes

	Cluster  snapshot.ID
	Several  bool      // the cluster was restored: a revision alone may mean another one
	Restored time.Time // the cluster was restored after this state, not later than then; zero: it was not

	newest bool // the newest state is asked for, which may be the snapshot's
	close  func() error
	chain  []*piece
}

// Skip is the segment that an error of Merge names; false: it names none.
func (c *Continuation) Skip(err error) (SkippedSegment, bool) {
	bad, named := errors.AsType[*journal.SegmentError](err)
	if !named {
		return SkippedSegment{}, false
	}
	x, found := c.piece(bad.Segment)
	if !found {
		return SkippedSegment{}, false
	}
	return SkippedSegment{x.at.Place, x.listed}, true
}

func (c *Continuation) piece(n snapshot.SegmentName) (x *piece, found bool) {
	i := slices.IndexFunc(c.chain, func(x *piece) bool {
		return x.Name.Node == n.Node && x.Name.Time.Equal(n.Time) && x.Name.First == n.First
	})
	if i < 0 {
		return nil, false
	}
	return c.chain[i], true
}

// Merge writes the database of the state to out. base is the snapshot's; both files are closed.
func (c *Continuation) Merge(ctx context.Context, base, out *os.File) error {
	made, err := journal.Merge(ctx, base, c.Segments, c.Revision, out)
	if err == nil && c.newest && made.Base > made.Revision {
		return fmt.Errorf("%w: the snapshot goes on to revision %d", journal.ErrRevision, made.Base)
	}
	if bad, named := errors.AsType[*journal.SegmentError](err); named {
		if x, found := c.piece(bad.Segment); found {
			return &journal.SegmentError{Segment: bad.Segment, Err: x.located(err)}
		}
	}
	return err
}

// Close releases the files of the segments.
func (c *Continuation) Close() error {
	if c == nil || c.close == nil {
		return nil
	}
	return c.close()
}

// String says for people which state it is.
func (c *Continuation) String() string {
	text := fmt.Sprintf("revision %d", c.Revision)
	if !c.At.IsZero() {
		text += ", received " + c.At.UTC().Format(momentForm)
	}
	if !c.Restored.IsZero() {
		text += ", " + c.History()
	}
	return text
}

// History says for people of which history the state is, if it is not the present one.
func (c *Continuation) History() string {
	return fmt.Sprintf("of the cluster %s, before it was restored (not later than %s)", c.Cluster, c.Restored.UTC().Format(momentForm))
}

// continuation opens the segments that continue a snapshot up to a revision; 0: all.
func (m *moment) continuation(ctx context.Context, b base, revision int64) (*Continuation, error) {
	whole, chain, err := m.opened(ctx, b, revision)
	if err != nil {
		return nil, err
	}
	end := reach(whole, b.manifest.Revision)
	c := &Continuation{Revision: cmp.Or(revision, end), End: end, Cluster: b.manifest.ClusterID, Restored: m.lives.Ended(m.in)}
	c.Base, c.Several = b.manifest.Revision, m.lives.Several()
	c.newest, c.close, c.chain = m.At.Newest(), m.pieces.close, chain
	if c.Revision > end {
		return nil, m.unreachable(fmt.Sprintf("the journal has no revision %d", revision))
	}
	for _, x := range chain {
		c.Segments, c.Size = append(c.Segments, x.opened), c.Size+x.opened.RawSize
		if !slices.Contains(c.Places, x.at.Where) {
			c.Places = append(c.Places, x.at.Where)
		}
	}
	if len(whole) > 0 {
		c.EndAt = whole[len(whole)-1].opened.To
	}
	if len(whole) > 0 && c.Revision == end {
		c.Unchanged = m.unchanged(whole[len(whole)-1])
	}
	if c.Beyond, err = m.beyond(ctx, end); err != nil {
		return nil, err
	}
	c.Late = m.late(ctx, c.Revision)
	if len(chain) == 0 {
		return c, nil
	}
	newest := chain[len(chain)-1]
	c.At, err = journal.Received(ctx, newest.opened, c.Revision)
	return c, newest.failed(err)
}

// opened chooses the segments that continue a snapshot, and opens those that are needed for a revision, 0: all, and the last one, for the report.
func (m *moment) opened(ctx context.Context, b base, revision int64) (whole, chain []*piece, err error) {
	for {
		whole = m.pieces.chain(b.manifest.Revision)
		revision := cmp.Or(revision, reach(whole, b.manifest.Revision))
		chain = whole
		if i := slices.IndexFunc(whole, func(x *piece) bool { return x.Name.Last >= revision }); i >= 0 {
			chain = whole[:i+1]
		}
		if revision <= b.manifest.Revision {
			chain = nil
		}
		wanted := chain
		if len(whole) > 0 {
			wanted = slices.Compact(append(slices.Clone(chain), whole[len(whole)-1]))
		}
		if err := m.pieces.openAll(ctx, wanted); err != nil {
			return nil, nil, err
		}
		if err := ofOneCluster(wanted, b.manifest.ClusterID); err != nil {
			return nil, nil, err
		}
		wrong := stranger(chain)
		if wrong == nil {
			return whole, chain, nil
		}
		m.pieces.searched = slices.DeleteFunc(slices.Clone(m.pieces.searched), func(x *piece) bool { return x == wrong })
	}
}

// beyond returns the newest revision of the cluster after the end, which a gap or a damaged segment separates from it; 0: there is none.
func (m *moment) beyond(ctx context.Context, end int64) (newest int64, err error) {
	for _, x := range m.pieces.dropped {
		if !errors.Is(x.bad, journal.ErrHistory) && x.Name.Last > end && (!m.lives.Several() || m.lives.At(x.Name.Time) == m.in) {
			newest = max(newest, x.Name.Last)
		}
	}
	later := slices.DeleteFunc(slices.Clone(m.pieces.searched), func(x *piece) bool { return x.Name.Last <= max(end, newest) })
	slices.SortFunc(later, func(a, b *piece) int { return cmp.Compare(b.Name.Last, a.Name.Last) })
	for _, x := range later[:min(len(later), 3)] { // the names do not say the cluster
		switch err := m.pieces.open(ctx, x); {
		case x.bad != nil:
			x.bad = nil // nothing is restored from it
		case err != nil && ctx.Err() != nil:
			return 0, err
		case err != nil: // it may be: better one too many in a report
		case x.opened.ClusterID != m.in.Cluster:
			continue
		}
		return x.Name.Last, nil
	}
	return newest, nil
}

// stranger returns the first segment of a chain that is of another history than the one before it; nil: there is none.
func stranger(chain []*piece) *piece {
	for i := 1; i < len(chain); i++ {
		x, y := chain[i-1].opened, chain[i].opened
		if y.First == x.Last+1 && y.Before != "" && x.LastDigest != "" && y.Before != x.LastDigest {
			return chain[i]
		}
	}
	return nil
}

// ofOneCluster notes those that are of another cluster: the names do not say it. After a restore, the old cluster's have the same revisions.
func ofOneCluster(all []*piece, cluster snapshot.ID) (err error) {
	for _, x := range all {
		if x.opened.ClusterID != cluster {
			x.bad = fmt.Errorf("%w: %s in %s is of the cluster %s, not %s", journal.ErrHistory, x.listed, x.at.Where, x.opened.ClusterID, cluster)
			err = x.bad
		}
	}
	return err
}
