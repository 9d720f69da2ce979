package metrics

import (
	"strings"
	"time"
)

const notKnown = "not known yet"

// summary is one line: when the last good one was, when the next will be.
func (s *state) summary(now time.Time) string {
	if !s.rebuilt {
		return ""
	}
	last := "No snapshot has been taken yet"
	if x, any := s.newest(now, s.whole); any {
		last = "Last good snapshot " + relative(x.Time, now)
	} else if x, any := s.newest(now, whichever); any {
		last = "No good snapshot, the newest is damaged and was taken " + relative(x.Time, now)
	}
	next := s.plans[Snapshots].next
	switch {
	case s.tracks[Snapshots].running:
		return last + ", one under way now."
	case next.IsZero():
		return last + "."
	case !next.After(now):
		return last + ", next due now."
	}
	return last + ", next " + relative(next, now) + "."
}

// facts are the page's figures. free is below 0 where it is not known.
func (s *state) facts(rows []row, now time.Time, free int64) []fact {
	out := []fact{s.lastFact(now), s.nextFact(now), s.diskFact(free)}
	if s.switched[Mirror] {
		out = append(out, s.mirrorFact(now))
	} else {
		out = append(out, off("In S3", "no bucket is given"))
	}
	if s.switched[Verify] {
		out = append(out, s.verifyFact(rows, now))
	}
	if s.switched[Drill] {
		out = append(out, s.drillFact(now))
	} else {
		out = append(out, off("Last restore drill", "nothing proves that a snapshot comes back"))
	}
	if !s.member.seen.IsZero() {
		out = append(out, s.etcdFact(now))
	}
	return out
}

func (s *state) lastFact(now time.Time) fact {
	x, any := s.newest(now, s.whole)
	if !any {
		f := fact{Label: "Last good snapshot", Value: s.never()}
		if x, any := s.newest(now, whichever); any {
			f.Value, f.Tone = "none", bad
			f.More = append(f.More, "the newest, of "+absolute(x.Time)+", is damaged")
		}
		return f
	}
	f := fact{Label: "Last good snapshot", Value: relative(x.Time, now), More: []string{absolute(x.Time), size(x.Size)}}
	if x.RawSize > 0 {
		f.More[1] += ", " + size(x.RawSize) + " unpacked"
	}
	return f
}

func (s *state) nextFact(now time.Time) fact {
	f := fact{Label: "Next snapshot", Value: notKnown}
	next, interval := s.plans[Snapshots].next, s.plans[Snapshots].interval
	switch {
	case s.tracks[Snapshots].running:
		f.Value = "under way"
		f.More = append(f.More, "since "+absolute(s.tracks[Snapshots].attempt))
	case next.IsZero():
		return f
	case next.After(now):
		f.Value = relative(next, now)
		f.More = append(f.More, absolute(next))
	default:
		f.Value = "due now"
		f.More = append(f.More, absolute(next))
	}
	if interval > 0 {
		f.More = append(f.More, "every "+span(interval))
	}
	return f
}

func (s *state) diskFact(free int64) fact {
	f := fact{Label: "On the disk", Value: notKnown}
	if list, known := s.stock[Local]; known {
		f.Value = count(len(list), "snapshot", "snapshots")
		f.More = append(f.More, size(total(list)))
	}
	if free >= 0 {
		f.More = append(f.More, size(free)+" free")
	}
	return f
}

func (s *state) mirrorFact(now time.Time) fact {
	t := s.tracks[Mirror]
	f := fact{Label: "In S3", Value: notKnown, Tone: tone(t.failures > tolerated, bad)}
	if list, known := s.stock[S3]; known {
		f.Value = count(len(list), "snapshot", "snapshots")
		f.More = append(f.More, size(total(list)))
	}
	if n := len(s.waiting); n > 0 {
		f.More = append(f.More, grouped(int64(n))+" waiting, the oldest "+span(now.Sub(s.oldestWaiting())))
	}
	switch {
	case t.failures > 0:
		f.More = append(f.More, "last pass failed "+relative(t.failed, now))
	case t.running:
		f.More = append(f.More, "a pass is under way")
	case !t.success.IsZero():
		f.More = append(f.More, "in line "+relative(t.success, now))
	}
	return f
}

func (s *state) verifyFact(rows []row, now time.Time) fact {
	t := s.tracks[Verify]
	f := fact{Label: "Last verification", Value: relative(t.success, now)}
	switch {
	case t.failures > 0:
		f.Value, f.Tone = "failed", bad
		f.More = append(f.More, absolute(t.failed))
	case t.success.IsZero():
		f.Value = s.never()
	default:
		f.More = append(f.More, absolute(t.success))
	}
	if t.running {
		f.More = append(f.More, "one is under way")
	}
	verified := 0
	for _, r := range rows {
		if !r.verified.IsZero() && !r.damaged {
			verified++
		}
	}
	if len(rows) > 0 {
		f.More = append(f.More, grouped(int64(verified))+" of "+grouped(int64(len(rows)))+" verified whole")
	}
	return f
}

func (s *state) drillFact(now time.Time) fact {
	t := s.tracks[Drill]
	f := fact{Label: "Last restore drill", Value: s.never()}
	switch {
	case t.failures > 0:
		f.Value, f.Tone = "failed", bad
		f.More = append(f.More, absolute(t.failed))
	case !t.success.IsZero():
		f.Value = "passed " + relative(t.success, now)
		f.More = append(f.More, absolute(t.success))
	}
	switch next := s.plans[Drill].next; {
	case t.running:
		f.More = append(f.More, "one is under way")
	case next.After(now):
		f.More = append(f.More, "next "+relative(next, now))
	}
	return f
}

func off(label, meaning string) fact {
	return fact{Label: label, Value: "off", More: []string{meaning}}
}

func (s *state) etcdFact(now time.Time) fact {
	m := s.member
	f := fact{Label: "etcd", Value: "has a leader", More: []string{"database " + size(m.database)}}
	if !m.leader {
		f.Value, f.Tone = "knows no leader", warn
	}
	if len(m.alarms) > 0 {
		f.Value, f.Tone = "raises "+strings.Join(m.alarms, ", "), warn
	}
	f.More = append(f.More, "as of "+relative(m.seen, now))
	return f
}

// never is what to say of what has not happened, as far as the past is known.
func (s *state) never() string {
	if !s.rebuilt {
		return notKnown
	}
	return "none yet"
}

func tone(yes bool, t string) string {
	if yes {
		return t
	}
	return ""
}

func total(list []Snapshot) int64 {
	n := int64(0)
	for _, x := range list {
		n += x.Size
	}
	return n
}
