package status

import (
	"cmp"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// SetSegments records this node's complete segments in a place, in the order of their first revisions. last returns when the last revision of one
// was received; zero: not known.
func (t *Tracker) SetSegments(p Place, all []snapshot.SegmentEntry, last func(snapshot.SegmentName) time.Time) {
	if t == nil {
		return
	}
	s := segmentsOf(all, last, t.now())
	if t.ranges != nil {
		s.Ranges = t.ranges(t.State(), p, all)
	}
	t.SetJournal(func(j *Journal) {
		if p == S3 {
			j.Bucket = s
		} else {
			j.Local = s
		}
	})
}

// segmentsOf describes segments. Those that are dated in the future are of a wrong clock, and older than the others.
func segmentsOf(all []snapshot.SegmentEntry, last func(snapshot.SegmentName) time.Time, now time.Time) (s Segments) {
	received := func(n snapshot.SegmentName) time.Time {
		if at := last(n); !at.IsZero() {
			return at
		}
		return n.Time
	}
	for _, e := range all {
		s.Bytes += e.Size
	}
	if len(all) > 0 { // after a restore, the newest revision is not the highest one
		past := func(n snapshot.SegmentName) int { return min(now.Compare(n.Time), 0) }
		newest := slices.MaxFunc(all, func(a, b snapshot.SegmentEntry) int {
			return cmp.Or(cmp.Compare(past(a.Name), past(b.Name)), a.Name.Time.Compare(b.Name.Time), cmp.Compare(a.Name.Last, b.Name.Last))
		}).Name
		s.Revision, s.At = newest.Last, earliest(received(newest), now)
	}
	return s
}

// SetWaitingSegments records how many segments wait for their upload.
func (t *Tracker) SetWaitingSegments(n int, bytes int64) {
	if t != nil {
		t.SetJournal(func(j *Journal) { j.Waiting = Waiting{true, n, bytes} })
	}
}
