package metrics

import (
	"slices"
	"time"
)

// facts are the page's figures. free is below 0 where it is not known.
func (s *state) facts(rows []row, now time.Time, free int64) []fact {
	out := []fact{s.lastFact(rows, now), s.nextFact(now), s.diskFact(free)}
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
	if s.member.asked {
		out = append(out, s.member.fact(now))
	}
	return out
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
	default:
		f.Value = coming(next, now, "due now")
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
	} else if s.unlisted != "" {
		f.Value, f.Tone = "can't be read", bad
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
		f.More = append(f.More, "of this node, "+size(total(list))) // other nodes may share the folder
	}
	if n := len(s.waiting); n > 0 {
		f.More = append(f.More, grouped(int64(n))+" waiting, behind for "+span(now.Sub(s.oldestWaiting())))
	}
	switch {
	case t.failures > 0:
		f.More = append(f.More, "last pass failed "+relative(t.failed, now))
	case t.running:
		f.More = append(f.More, "a pass is under way")
	case !t.success.IsZero():
		f.More = append(f.More, "in sync as of "+relative(t.success, now))
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
		if !r.verified.IsZero() && !slices.Contains(r.damaged, s.proves) {
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
	if t.skipped != "" { // or else it would look as if its hour had not come yet
		f.More = append(f.More, "the last one was left out ("+string(t.skipped)+")")
	}
	switch next := s.plans[Drill].next; {
	case t.running:
		f.More = append(f.More, "one is under way")
	case !next.IsZero():
		f.More = append(f.More, "next "+coming(next, now, "is due now"))
	}
	return f
}

func off(label, meaning string) fact {
	return fact{Label: label, Value: "off", More: []string{meaning}}
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
