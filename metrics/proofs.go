package metrics

import "time"

// The recorders of what is found when a snapshot's copy is read.

// Verified tells that the named snapshot was read in full and is whole.
func (m *Metrics) Verified(at time.Time, name string, took time.Duration) {
	m.change(func(s *state, count bool) {
		s.succeeded(Verify, at, name)
		s.verdict(name, at, "")
		if count {
			m.runs.WithLabelValues(string(Verify), success, string(none)).Inc()
			m.observe("verify", took)
		}
	})
}

// Drilled tells that a restore of the named snapshot was tried and brought everything back.
func (m *Metrics) Drilled(at time.Time, name string, took time.Duration) {
	m.change(func(s *state, count bool) {
		s.succeeded(Drill, at, name)
		s.drillVerdict(name, at, true)
		if count {
			m.runs.WithLabelValues(string(Drill), success, string(none)).Inc()
			m.observe("drill", took)
		}
	})
}

// Damaged tells that the copy in p was found damaged otherwise than by a run of this process: by the mirror, which reads an archive to
// upload it, or before the start. It counts no run. The copy stays marked until it is gone, is verified again or Uploaded from there.
func (m *Metrics) Damaged(p Place, at time.Time, name, message string) {
	m.change(func(s *state, _ bool) { s.found(p, at, m.o.Now(), name, message) })
}
