package metrics

import "etcd-rolling-backup/daemon/status"

// journal adds what the journal has. What is not known is absent: 0 would be an age of decades.
func (s *scrape) journal() {
	j := s.state.Journal
	if !j.On {
		return
	}
	s.truth("journal_running", j.Records(s.now))
	s.gauge("journal_behind_revisions", float64(j.Behind))
	s.gauge("journal_segment_seconds", j.Segment.Seconds())
	s.counter("journal_gaps_total", j.Gaps)
	for place, segments := range map[status.Place]status.Segments{status.Local: j.Local, status.S3: j.Bucket} {
		if place == status.S3 && !s.state.Enabled[status.Mirror] {
			continue
		}
		s.gauge("journal_bytes", float64(segments.Bytes), string(place))
		if revision, at := s.state.Journaled(place); revision > 0 {
			s.gauge("journal_revision", float64(revision), string(place))
			s.gauge("journal_revision_timestamp_seconds", seconds(at), string(place))
		}
		if point := s.state.RecoveryPoint(place); !point.IsZero() {
			s.gauge("journal_recovery_point_timestamp_seconds", seconds(point), string(place))
		}
	}
}
