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
	s.journalDrills(j)
	if w := j.Waiting; w.Known && s.state.Enabled[status.Mirror] { // 0 would look healthy
		s.gauge("journal_waiting_segments", float64(w.Segments))
		s.gauge("journal_waiting_bytes", float64(w.Bytes))
	}
	for place, segments := range map[status.Place]status.Segments{status.Local: j.Local, status.S3: j.Bucket} {
		if place == status.S3 && !s.state.Enabled[status.Mirror] {
			continue
		}
		s.gauge("journal_bytes", float64(segments.Bytes), string(place))
		if revision, at := s.state.Journaled(place, s.now); revision > 0 {
			s.gauge("journal_revision", float64(revision), string(place))
			s.gauge("journal_revision_timestamp_seconds", seconds(at), string(place))
		}
		if point := s.state.RecoveryPoint(place, s.now); !point.IsZero() {
			s.gauge("journal_recovery_point_timestamp_seconds", seconds(point), string(place))
		}
	}
}

// journalDrills adds what drills found of the journal.
func (s *scrape) journalDrills(j status.Journal) {
	if !s.state.Enabled[status.Drill] {
		return
	}
	s.gauge("journal_proven_timestamp_seconds", seconds(j.Proven.Proven))
	s.counter("journal_drill_failures_total", j.ProofFailures)
	if !j.Proven.At.IsZero() {
		s.truth("journal_drill_passed", j.Proven.Message == "")
	}
}
