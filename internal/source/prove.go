package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Proven is what reading a journal from a revision on has found besides the proof itself.
type Proven struct {
	Chain   []snapshot.SegmentName // that was proven, in order
	Bytes   int64                  // of its files
	Damaged []error                // segments that can't be read, each with its name and places; restore uses an intact copy where there is one
	Lost    error                  // the first of Damaged of which there is no intact copy; nil: there is none
	// Next is the first segment of the same cluster after a gap; zero: there is none.
	Next snapshot.SegmentName
}

// Of returns the journal without the segments that are known to be of another history than a snapshot.
func (j *Journal) Of(ctx context.Context, n snapshot.Name, m snapshot.Manifest) *Journal {
	h, of := j.histories(ctx, n)
	its, out := h.Of(m.ClusterID, history.SnapshotOf(n, m).Time), *j
	out.Names = slices.DeleteFunc(slices.Clone(j.Names), func(n snapshot.SegmentName) bool { return of[n].Cluster != 0 && of[n] != its })
	return &out
}

// Restores returns what reports that two segments are known to be of different histories: the cluster was restored in between.
func (j *Journal) Restores(ctx context.Context) func(a, b snapshot.SegmentName) bool {
	_, of := j.histories(ctx, snapshot.Name{})
	return func(a, b snapshot.SegmentName) bool {
		return of[a].Cluster != 0 && of[b].Cluster != 0 && of[a] != of[b]
	}
}

// histories says of which history each segment is; zero: not known. It reads the manifests of the snapshots in the places of the journal, because they may
// show that the cluster was restored; chosen is one that must be among them.
func (j *Journal) histories(ctx context.Context, chosen snapshot.Name) (h *history.Histories, of map[snapshot.SegmentName]history.History) {
	read, _ := manifests(ctx, j.places, chosen, func(snapshot.Name) bool { return true })
	var bases []history.Snapshot
	for at, m := range read {
		if m.ClusterID != 0 {
			bases = append(bases, history.SnapshotOf(at.name, m))
		}
	}
	slices.SortFunc(bases, func(a, b history.Snapshot) int { return b.Time.Compare(a.Time) })
	r := j.ranging()
	names, _ := r.names(ctx)
	h, of = history.Find(history.Records{Segments: names, Snapshots: bases, Manifest: r.reader(ctx)}), map[snapshot.SegmentName]history.History{}
	for _, row := range h.Rows {
		for _, n := range row.Names {
			of[r.listed[n]] = row.History
		}
	}
	return h, of
}

// Prove reads all segments that continue p, one at a time, and proves each. Of a damaged one an intact copy in another place is used, and by j
// from now on. Without it, and if it is of another history, it is skipped: another node's may have the same revisions. visit is that of [journal.Proof.Add]. The error is about this machine, or comes from visit; damage is no error.
func (j *Journal) Prove(ctx context.Context, p *journal.Proof, visit func(journal.Record) error) (found Proven, err error) {
	left := slices.Clone(j.Names)
	for {
		chain := journal.FollowIn(left, func(n snapshot.SegmentName) snapshot.SegmentName { return n }, p.Revision)
		if len(chain) == 0 { // one that is being written does not say its last revision
			chain = slices.DeleteFunc(slices.Clone(left), func(n snapshot.SegmentName) bool { return n.Complete() || n.First > p.Revision+1 })
		}
		if len(chain) == 0 {
			found.Next = j.next(ctx, left, *p)
			return found, nil
		}
		tried := map[snapshot.SegmentName]bool{}
		for _, n := range chain {
			tried[n] = true
			before := p.Revision
			damage, err := j.prove(ctx, p, n, visit)
			if damage != nil {
				found.Damaged = append(found.Damaged, damage)
			}
			switch {
			case errors.Is(err, journal.ErrEmpty), errors.Is(err, snapshot.ErrNotFound): // it is being written, or was just completed or pruned
			case err != nil && unusable(err):
				found.Lost = cmp.Or(found.Lost, damage)
			case errors.Is(err, journal.ErrHistory), errors.Is(err, journal.ErrGap):
			case err != nil:
				return found, err
			}
			if p.Revision == before {
				break // the rest may not continue what there is
			}
			found.Chain, found.Bytes = append(found.Chain, n), found.Bytes+j.Size(n)
		}
		left = slices.DeleteFunc(left, func(n snapshot.SegmentName) bool { return tried[n] })
	}
}

// LeadsTo reports whether the journal that continues one snapshot of a node reaches a later one of the same history. If the cluster was restored under its
// ID in between, at least one of these shows it: the member's raft index is lower, the journal has begun again, or it had passed the later one's revision
// before that was taken.
func (c *Continuation) LeadsTo(from, to snapshot.Manifest) bool {
	switch {
	case to.ClusterID != from.ClusterID, c.End < to.Revision,
		to.MemberID == from.MemberID && to.RaftIndex > 0 && to.RaftIndex < from.RaftIndex,
		!c.Restored.IsZero() && !c.Restored.After(to.CreatedAt),
		c.End > to.Revision && c.EndAt.Before(to.CreatedAt):
		return false
	}
	return true
}

// prove proves the first copy of a segment that is not damaged. damage is what is wrong with those before it. If all are damaged, that is the error too.
func (j *Journal) prove(ctx context.Context, p *journal.Proof, n snapshot.SegmentName, visit func(journal.Record) error) (damage, err error) {
	for i, at := range j.copies(n) {
		err := j.proveCopy(ctx, p, at, visit)
		where := j.places[at.place].Where
		switch {
		case i == 0 && (err == nil || !unusable(err)):
			return nil, err
		case i == 0:
			damage = fmt.Errorf("%s in %s: %w", n, where, journal.Unnamed(err))
		case ctx.Err() != nil, errors.Is(err, journal.ErrHistory):
			return nil, err
		case errors.Is(err, snapshot.ErrNotFound): // pruned meanwhile
		case err == nil:
			j.use(n, at)
			return fmt.Errorf("%w; restore uses the intact copy in %s, and the damaged file can be deleted", damage, where), nil
		default: // what is wrong with one copy is no worse than that
			damage = fmt.Errorf("%w; in %s: %w", damage, where, journal.Unnamed(err))
		}
	}
	return damage, damage
}

func (j *Journal) proveCopy(ctx context.Context, p *journal.Proof, at located, visit func(journal.Record) error) error {
	s, closer, err := j.places[at.place].Segment(ctx, at.entry, j.scratch)
	if err != nil {
		return err
	}
	return errors.Join(p.Add(ctx, s, visit), closer.Close())
}

// next finds the first segment after a gap. Those that can't be read are of no known cluster.
func (j *Journal) next(ctx context.Context, left []snapshot.SegmentName, p journal.Proof) snapshot.SegmentName {
	if p.Cluster == 0 {
		return snapshot.SegmentName{}
	}
	for _, n := range left {
		if n.First <= p.Revision+1 {
			continue
		}
		s, closer, err := j.openIntact(ctx, n)
		if err != nil {
			continue
		}
		_ = closer.Close() // it was only read
		if s.ClusterID == p.Cluster {
			return n
		}
	}
	return snapshot.SegmentName{}
}
