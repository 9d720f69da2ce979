package status

import (
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
	var ends []snapshot.SegmentName // of the ranges
	for _, e := range all {
		s.Bytes += e.Size
		n := e.Name
		if i := len(ends) - 1; i < 0 || n.First > s.Ranges[i].Last+1 {
			s.Ranges, ends = append(s.Ranges, Range{First: n.First, Last: n.Last, From: n.Time}), append(ends, n)
		} else if n.Last > s.Ranges[i].Last {
			s.Ranges[i].Last, ends[i] = n.Last, n
		}
	}
	for i, n := range ends {
		to := last(n)
		if to.IsZero() {
			to = n.Time
		}
		s.Ranges[i].To, s.Revision, s.At = to, n.Last, to
	}
	return s
}

// SetPendingSegments records how many segments wait for their upload.
func (t *Tracker) SetPendingSegments(n int) {
	if t != nil {
		t.SetJournal(func(j *Journal) { j.Pending = n })
	}
}
