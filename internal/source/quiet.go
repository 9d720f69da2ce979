package source

import (
	"iter"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// quiet returns until when nothing had changed after the last revision of a segment, as the node's daemon has noted next to it; zero: not known. A
// bucket has no such note: whether something was written that it lacks can't be known from it.
func (l Listing) quiet(node string, last journal.Manifest) time.Time {
	var q journal.QuietNote
	if l.local == nil || l.local.ReadNote(snapshot.QuietNote(node), &q) != nil { // it only adds moments
		return time.Time{}
	}
	return q.After(last)
}

// unchanged returns until when nothing had changed after the last revision of a segment: as the daemon's note says, or snapshots of that very
// revision. It stops at enough; zero: nothing is known. The snapshots come in the order of time.
func unchanged(last journal.Manifest, places []Listing, begun []snapshot.SegmentName, bases iter.Seq[Base], enough time.Time) (until time.Time) {
	for _, l := range places {
		until = later(until, l.quiet(last.Node, last))
	}
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
	bases := func(yield func(Base) bool) {
		for _, b := range slices.Backward(m.inHistory()) {
			if !yield(Base{Name: b.Name, Time: b.taken(), Cluster: b.manifest.ClusterID, Revision: b.manifest.Revision}) {
				return
			}
		}
	}
	return unchanged(last.opened.Manifest, m.listed, begun, bases, later(m.At.Time, last.opened.To))
}

// until is the last moment of a range.
func (r *ranging) until(last journal.Manifest, bases []Base) time.Time {
	oldestFirst := slices.SortedFunc(slices.Values(bases), func(a, b Base) int { return a.Time.Compare(b.Time) })
	return later(last.To, unchanged(last, r.places, r.Names, slices.Values(oldestFirst), time.Now()))
}
