package metrics

import (
	"cmp"
	"slices"
	"time"
)

// The recorders. Whoever does the work calls Attempt when a run begins and one of the others when it ends. A run that is
// cut off by the program's own end is told to nobody.
//
// After a restart the same recorders are called with the old times of what lies on the disk and in the bucket, in any
// order, and then Rebuilt: until then they set times and states, and count nothing.

// Rebuilt ends the rebuilding: what came before the start is known as far as it can be. From now on recorders count.
func (m *Metrics) Rebuilt() {
	m.change(func(s *state, _ bool) {
		s.rebuilt, s.blank = true, len(s.past) == 0
		s.forget()
	})
}

// Schedule tells when the next run of a kind is due and how long it is from that to the one after. It is called at the start,
// with a time that may have passed, and after each run; a run that failed and is tried again may be given as the next.
func (m *Metrics) Schedule(k Kind, next time.Time, interval time.Duration) {
	m.change(func(s *state, _ bool) { s.schedule(k, next, interval) })
}

// Started tells when the daemon was started of late, this time included, in order.
func (m *Metrics) Started(at ...time.Time) {
	m.change(func(s *state, _ bool) { s.starts = at })
}

// Attempt tells that a run begins.
func (m *Metrics) Attempt(k Kind, at time.Time) {
	m.change(func(s *state, _ bool) { s.attempt(k, at) })
}

// Failed tells that a run failed. name is the snapshot that it was about, or "". The message, which holds no secrets, is shown
// to people and never becomes a label.
func (m *Metrics) Failed(k Kind, at time.Time, name string, r Reason, message string) {
	m.change(func(s *state, count bool) {
		r = within(r, failures(k))
		s.failed(k, at, name, r, message)
		if name != "" && k == Verify && r == Damaged {
			s.verdict(name, at, cmp.Or(oneLine(message), string(Damaged)))
		}
		if name != "" && k == Drill {
			s.drillVerdict(name, at, false)
		}
		if !count {
			return
		}
		m.runs.WithLabelValues(string(k), failure, string(r)).Inc()
		if k == Mirror && r != Damaged && r != Disk {
			m.s3Errors.WithLabelValues(string(r)).Inc()
		}
	})
}

// Skipped tells that a run was left out on purpose.
func (m *Metrics) Skipped(k Kind, at time.Time, r Reason) {
	m.change(func(s *state, count bool) {
		r = within(r, skips(k))
		s.skip(k, at, r)
		if count {
			m.runs.WithLabelValues(string(k), skipped, string(r)).Inc()
			if k == Drill && r != Other && slices.Contains(s3Reasons(), r) { // the bucket did not give the snapshot
				m.s3Errors.WithLabelValues(string(r)).Inc()
			}
		}
	})
}

// SnapshotDone tells that x is safe on the local disk. stream is the time from opening the stream to its last byte, sync
// the time until file and name were safe; 0: not known.
func (m *Metrics) SnapshotDone(at time.Time, x Snapshot, stream, sync time.Duration) {
	m.change(func(s *state, count bool) {
		s.succeeded(Snapshots, at, x.Name)
		if s.unlisted == "" { // or else what lies there beside it would count as gone
			s.keep(Local, x)
		}
		s.passed(m.o.Now(), x)
		if !count {
			return
		}
		if s.switched[Mirror] {
			s.fresh, s.freshAt = x, at
			s.waiting = append(s.waiting, x)
		}
		m.runs.WithLabelValues(string(Snapshots), success, string(none)).Inc()
		m.observe("stream", stream)
		m.observe("fsync", sync)
	})
}

// Inventory tells what a place holds of this node, in any order. It replaces what was known; what list does not tell of a
// snapshot stays known.
func (m *Metrics) Inventory(p Place, list []Snapshot) {
	m.change(func(s *state, _ bool) {
		s.inventory(p, list)
		s.passed(m.o.Now(), list...)
	})
}

// Unlisted tells that what lies in the directory can't be read, until the next Inventory of it.
func (m *Metrics) Unlisted(message string) {
	m.change(func(s *state, _ bool) {
		s.unlisted = oneLine(message)
		delete(s.stock, Local)
	})
}

// Pruned tells that the policy's removals were made.
func (m *Metrics) Pruned(p Place, names ...string) {
	m.change(func(s *state, count bool) {
		unmirrored := s.drop(p, names)
		if p == Local {
			s.unpruned = ""
		}
		if unmirrored > 0 {
			s.missedAt = m.o.Now()
		}
		if count {
			m.unmirrored.Add(float64(unmirrored))
			m.pruned.WithLabelValues(string(p)).Add(float64(len(names)))
		}
	})
}

// PruningFailed tells, after Pruned, that some of what the policy wants removed from the disk is still there, and why.
func (m *Metrics) PruningFailed(at time.Time, message string) {
	m.change(func(s *state, count bool) {
		s.unpruned = oneLine(message)
		s.remember(problem{At: at, Place: Local, Reason: Disk, Message: s.unpruned})
		if count {
			m.pruneFailures.Inc()
		}
	})
}

// Waiting tells what S3 is to hold and does not yet, as a pass of the mirror has found out.
func (m *Metrics) Waiting(list []Snapshot) {
	m.change(func(s *state, _ bool) { s.setWaiting(list) })
}

// Uploaded tells that x was read in full on the disk and has arrived in S3.
func (m *Metrics) Uploaded(x Snapshot, took time.Duration) {
	m.change(func(s *state, count bool) {
		s.arrived(x)
		if !count {
			return
		}
		m.uploads.Inc()
		m.uploaded.Add(float64(max(x.Size, 0)))
		m.observe("upload", took)
	})
}

// MirrorDone tells that a pass of the mirror left S3 in line. locked is how many snapshots an object lock kept from
// being pruned.
func (m *Metrics) MirrorDone(at time.Time, locked int) {
	m.change(func(s *state, count bool) {
		s.succeeded(Mirror, at, "")
		s.locked = locked
		if count {
			m.runs.WithLabelValues(string(Mirror), success, string(none)).Inc()
		}
	})
}

// Recalled tells of a run that succeeded before the start, where that becomes known only after Rebuilt, as with S3. It counts
// nothing, and says nothing new where a success is known already.
func (m *Metrics) Recalled(k Kind, at time.Time) {
	m.change(func(s *state, _ bool) {
		if t := s.tracks[k]; t.success.IsZero() {
			t.success = at
		}
	})
}

// Failing tells how many runs in a row have failed before the start; Failed told of the last of them.
func (m *Metrics) Failing(k Kind, runs int) {
	m.change(func(s *state, _ bool) {
		if t := s.tracks[k]; t.failures > 0 {
			t.failures = runs
		}
	})
}
