package retention

import (
	"cmp"
	"slices"
	"time"
)

// Segment is what retention knows about a segment of the journal.
type Segment struct {
	// ID identifies the segment for the caller, such as a name.
	ID string
	// Begun is when its first revision was received. It ended at the latest when the next one was begun.
	Begun time.Time
	// First and Last are revisions. Last is 0 while the segment is being written.
	First, Last int64
}

// ReasonJournal is why a snapshot is kept that the journal continues.
const ReasonJournal = "journal"

// Journal keeps the snapshots from which the journal reaches every moment of the last keep: the newest one before that time, and each later
// one that the journal does not reach from the one before it, because of a gap or a restore, or that is a step after the last one that is kept. Without
// steps there would never be a snapshot that could take the place of the first one. It returns the IDs of the segments that are not
// needed: they ended before that time and before the oldest of these snapshots.
//
// Times may be wrong after a clock was set, and revisions are repeated after a restore. So what ended before that snapshot must also
// have no revision after it; only at twice the age the time alone is enough. The segment that was begun last always stays, and so do those
// that are being written.
//
// plan is ordered newest first, as Plan returns it, and is changed in place. All segments are of one node. Like Plan, Journal can be repeated at
// any time: applied to what is left, it decides the same.
func Journal(plan []Decision, segments []Segment, keep time.Duration, now time.Time) (remove []string) {
	if len(segments) == 0 || keep <= 0 {
		return nil
	}
	row := slices.SortedFunc(slices.Values(segments), func(a, b Segment) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last), cmp.Compare(a.ID, b.ID))
	})
	oldest := keepBases(plan, row, keep, now)
	for i, s := range row[:len(row)-1] {
		age := now.Sub(row[i+1].Begun) // at least since it ended
		switch {
		case s.Last == 0 || age <= keep:
		case age > 2*keep && (oldest == nil || !row[i+1].Begun.After(oldest.Time)),
			oldest != nil && !row[i+1].Begun.After(oldest.Time) && s.Last <= oldest.Revision:
			remove = append(remove, s.ID)
		}
	}
	return remove
}

// steps is into how many parts the time of the journal is divided: of each, a snapshot is kept if there is one. Of snapshots each day, all of 7 days are kept, though
// they are seconds less than a day apart.
const steps = 8

// keepBases keeps the snapshots that the journal needs and returns the oldest of them; nil: there is none. row is ordered by time.
func keepBases(plan []Decision, row []Segment, keep time.Duration, now time.Time) (oldest *Decision) {
	horizon := now.Add(-keep)
	var bases []*Decision // oldest first
	for i := len(plan) - 1; i >= 0; i-- {
		if b := &plan[i]; b.Revision > 0 && !b.Time.After(now) {
			if len(bases) == 1 && !b.Time.After(horizon) {
				bases = nil
			}
			bases = append(bases, b)
		}
	}
	var last *Decision
	for i, b := range bases {
		if !journaled(*b, row) || last != nil && b.Time.Sub(last.Time) < keep/steps && reached(*bases[i-1], *b, row) {
			continue
		}
		b.keep(ReasonJournal)
		if last = b; oldest == nil {
			oldest = b
		}
	}
	return oldest
}

// journaled reports whether a segment has the revision of the snapshot or may have the one after it.
func journaled(b Decision, row []Segment) bool {
	return slices.ContainsFunc(row, func(s Segment) bool { return s.First <= b.Revision+1 && (s.Last == 0 || s.Last >= b.Revision) })
}

// reached reports whether the journal leads from one snapshot to a later one without a gap, and with one history.
func reached(from, to Decision, row []Segment) bool {
	if from.Predecessor != to.Predecessor || to.Revision < from.Revision {
		return false
	}
	at := from.Revision
	for i, s := range row {
		later := s.Begun.After(from.Time)
		switch {
		case at >= to.Revision:
			return true
		case s.Last == 0 && i == len(row)-1 && s.First == at+1: // the snapshot was taken while it was being written
			return true
		case s.Last == 0 || s.Last <= at && !later: // what else is being written may end anywhere
		case s.First > at+1, s.First <= at && (at > from.Revision || later):
			return false // a gap, or revisions that there were before
		default:
			at = s.Last
		}
	}
	return at >= to.Revision
}
