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
	s := segmentsOf(all, last)
	t.SetJournal(func(j *Journal) {
		if p == S3 {
			j.Bucket = s
		} else {
			j.Local = s
		}
	})
}

func segmentsOf(all []snapshot.SegmentEntry, last func(snapshot.SegmentName) time.Time) (s Segments) {
	received := func(n snapshot.SegmentName) time.Time {
		if at := last(n); !at.IsZero() {
			return at
		}
		return n.Time
	}
	highest := int64(0)
	for _, row := range snapshot.SegmentRows(all, func(e snapshot.SegmentEntry) snapshot.SegmentName { return e.Name }) {
		begin, end := row[0].Name, row[len(row)-1].Name
		s.Ranges = append(s.Ranges, Range{First: begin.First, Last: end.Last, From: begin.Time, To: received(end), Restored: begin.First <= highest})
		highest = max(highest, end.Last)
	}
	for _, e := range all {
		s.Bytes += e.Size
	}
	if len(all) > 0 { // after a restore, the newest revision is not the highest one
		newest := slices.MaxFunc(all, func(a, b snapshot.SegmentEntry) int {
			return cmp.Or(a.Name.Time.Compare(b.Name.Time), cmp.Compare(a.Name.Last, b.Name.Last))
		}).Name
		s.Revision, s.At = newest.Last, received(newest)
	}
	return s
}

// SetPendingSegments records how many segments wait for their upload.
func (t *Tracker) SetPendingSegments(n int) {
	if t != nil {
		t.SetJournal(func(j *Journal) { j.Pending = n })
	}
}
