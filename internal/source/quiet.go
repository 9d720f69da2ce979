package source

import (
	"iter"
	"slices"
	"time"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// quietNote is what the node's daemon has noted in the directory; empty: nothing that can be read. It only adds moments. A bucket has no such note: whether
// something was written that it lacks can't be known from it.
func quietNote(all []Listing, node string) (note journal.QuietNote) {
	for _, l := range all {
		if l.local == nil || l.local.ReadNote(snapshot.QuietNote(node), &note) != nil {
			continue
		}
		return note
	}
	return nil
}

// quietAfter returns until when nothing had changed after a snapshot, as that note says; zero: not known.
func quietAfter(all []Listing, n snapshot.Name, m snapshot.Manifest) time.Time {
	note := quietNote(all, n.Node)
	if len(note) == 0 {
		return time.Time{}
	}
	q := note[len(note)-1]
	if q.Cluster != m.ClusterID || q.Revision != m.Revision {
		return time.Time{}
	}
	return q.Until
}

// unchanged returns until when nothing had changed after the last revision of a segment: as the daemon's note says, or snapshots of that very
// revision. It stops at enough; zero: nothing is known. The snapshots come in the order of time. other is when the next sign of another history
// is: nothing is known beyond it, but that the cluster was put back, if a moment after its next snapshot is asked for.
func unchanged(last journal.Manifest, places []Listing, begun []snapshot.SegmentName, bases iter.Seq[history.Snapshot], enough, asked time.Time,
	other func(after time.Time) time.Time,
) (until time.Time) {
	quiet, end := quietNote(places, last.Node).After(last), other(last.To)
	noted := func() {
		if end.IsZero() || quiet.Before(end) {
			until = later(until, quiet)
		}
	}
	noted()
	for b := range bases {
		switch {
		case !b.Time.After(last.To) || b.Cluster != last.ClusterID:
			continue
		case b.Revision != last.Last || !until.Before(enough):
			return until
		case slices.ContainsFunc(begun, func(n snapshot.SegmentName) bool {
			return n.Node == last.Node && n.Time.After(last.To) && !n.Time.After(b.Time)
		}):
			return until // something was written: after a restore, there may be another revision of this number
		case !end.IsZero() && !b.Time.Before(end):
			if b.Time.After(asked) {
				return until
			}
			end = other(b.Time)
			noted()
		}
		until = later(until, b.Time)
	}
	return until
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// unchanged is that of the last segment of a chain.
func (m *moment) unchanged(last *piece) time.Time {
	var begun []snapshot.SegmentName
	for _, x := range m.pieces.searched {
		begun = append(begun, x.Name)
	}
	bases := func(yield func(history.Snapshot) bool) {
		for _, b := range slices.Backward(m.inHistory()) {
			if !yield(b.record()) {
				return
			}
		}
	}
	asked := m.At.Time
	if m.At.Newest() {
		asked = m.now
	}
	return unchanged(last.opened.Manifest, m.listed, begun, bases, later(asked, last.opened.To), asked, m.other)
}

// other returns when the next sign of another history is, after the one that is searched; zero: there is none.
func (m *moment) other(after time.Time) time.Time { return m.lives.Next(m.in, after) }

// idle returns the revision of a snapshot that was taken before the time and after the revision, if nothing had changed from then until the time; 0:
// there is no such snapshot. The segments from before it may have been removed.
func (m *moment) idle(revision int64) int64 {
	bases := m.inHistory() // newest first
	i := slices.IndexFunc(bases, func(b base) bool { return !b.taken().After(m.At.Time) })
	if i < 0 || bases[i].manifest.Revision <= revision {
		return 0
	}
	at, end := bases[i].manifest, m.other(bases[i].taken())
	within := func(t time.Time) bool { return end.IsZero() || t.Before(end) }
	if i > 0 && bases[i-1].manifest.Revision == at.Revision && within(bases[i-1].taken()) { // the next one, from after the time
		return at.Revision
	}
	if q := quietAfter(m.listed, bases[i].Name, at); q.IsZero() || q.Before(m.At.Time) || !within(q) {
		return 0
	}
	return at.Revision
}

// until is the last moment of a range.
func (r *ranging) until(last journal.Manifest, bases []history.Snapshot, other func(time.Time) time.Time) time.Time {
	oldestFirst := slices.SortedFunc(slices.Values(bases), func(a, b history.Snapshot) int { return a.Time.Compare(b.Time) })
	return later(last.To, unchanged(last, r.places, r.Names, slices.Values(oldestFirst), time.Now(), time.Time{}, other))
}
