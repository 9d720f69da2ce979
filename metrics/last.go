package metrics

import (
	"strings"
	"time"
)

const notKnown = "not known yet"

// summary is one line: when the last good one was, when the next will be.
func (s *state) summary(rows []row, now time.Time) string {
	if !s.rebuilt {
		return ""
	}
	next := s.upcoming(now)
	x, ok := best(rows, now)
	if !ok {
		last := "No snapshot has been taken yet."
		if rows = past(rows, now); len(rows) > 0 {
			last = "The newest, " + span(now.Sub(rows[0].Time)) + " old, is damaged."
		} else if s.unlisted != "" {
			last = "What the last good snapshot is, nobody knows now."
		}
		return sentences(last, next)
	}
	last := "Last good snapshot " + relative(x.Time, now)
	if next != "" {
		last += ", " + next
	}
	return sentences(last, x.doubts(s.proves))
}

// upcoming is when the next snapshot comes, "" if that is not known.
func (s *state) upcoming(now time.Time) string {
	next := s.plans[Snapshots].next
	switch {
	case s.tracks[Snapshots].running:
		return "one is under way now"
	case next.IsZero():
		return ""
	}
	return "next " + coming(next, now, "is due now")
}

func (s *state) lastFact(rows []row, now time.Time) fact {
	f := fact{Label: "Last good snapshot", Value: s.never()}
	x, ok := best(rows, now)
	if !ok {
		if rows = past(rows, now); len(rows) > 0 {
			f.Value, f.Tone = "none", bad
			f.More = append(f.More, "the newest, of "+absolute(rows[0].Time)+", is damaged")
		} else if s.unlisted != "" {
			f.Value, f.Tone = "not known", bad
		}
		return f
	}
	f.Value = relative(x.Time, now)
	bytes := size(x.Size)
	if x.RawSize > 0 {
		bytes += ", " + size(x.RawSize) + " unpacked"
	}
	f.More = append(f.More, absolute(x.Time), bytes)
	if d := x.doubts(s.proves); d != "" {
		f.More = append(f.More, d)
	}
	return f
}

// coming is "in 5 min", or due when t has come.
func coming(t, now time.Time, due string) string {
	if t.Sub(now) < time.Second {
		return due
	}
	return relative(t, now)
}

// sentences joins those that there are, each with a capital and a full stop.
func sentences(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			p = strings.ToUpper(p[:1]) + p[1:]
			if !strings.HasSuffix(p, ".") && !strings.HasSuffix(p, "?") {
				p += "."
			}
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}
