package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// maxGaps is how many gaps of the journal are named; the timeline shows all.
const maxGaps = 3

// journalFact is how much a restore with the journal would lose; none: there is no journal.
func (p *painter) journalFact() []fact {
	if !p.Journal.On {
		return nil
	}
	f := fact{Label: "A restore now would lose", Value: notKnown}
	passes := p.Ready() && !p.Journal.Records(p.now)
	f.Tone = p.tone(passes, journalCodes()...)
	if at := p.RecoveryPoint(status.Local, p.now); !at.IsZero() && p.Ready() {
		f.Value = "at most " + atMost(p.now.Sub(at))
		f.More = append(f.More, "with this disk")
	}
	if at := p.RecoveryPoint(status.S3, p.now); p.Enabled[status.Mirror] && !at.IsZero() {
		f.More = append(f.More, atMost(p.now.Sub(at))+" from S3")
	}
	if periods := p.Restorable(status.Local); len(periods) > 0 {
		since := "any moment since " + status.AbsoluteFrom(periods[0].From)
		if n := len(status.Gaps(periods)); n > 0 {
			since += ", except in " + status.Count(n, "gap", "gaps")
		}
		f.More = append(f.More, since)
	}
	if x := p.Journal.Proven; x.Message == "" && x.Restored > 0 {
		f.More = append(f.More, "restored by a drill "+status.Relative(x.At, p.now))
	}
	return []fact{f}
}

// gapTexts names the newest gaps of the journal on the disk for the timeline.
func (p *painter) gapTexts() []string {
	var out []string
	gaps := status.Gaps(p.Restorable(status.Local))
	for i, g := range slices.Backward(gaps) {
		if len(out) == maxGaps {
			return append(out, "and "+status.Count(i+1, "earlier one", "earlier ones"))
		}
		why := ""
		if g.Restored {
			why = ", where the cluster was restored"
		}
		out = append(out, "from "+status.Absolute(g.From)+" to "+status.AbsoluteFrom(g.To)+why)
	}
	return out
}

// journalSummary is the same in one sentence; "": there is no journal, or nothing is known.
func (p *painter) journalSummary() string {
	at := p.RecoveryPoint(status.Local, p.now)
	if !p.Journal.On || at.IsZero() {
		return ""
	}
	out := "A restore now would lose at most " + atMost(p.now.Sub(at)) + " with this disk"
	if s3 := p.RecoveryPoint(status.S3, p.now); p.Enabled[status.Mirror] && !s3.IsZero() {
		out += ", " + atMost(p.now.Sub(s3)) + " from S3"
	}
	return out
}

// atMost formats a duration like status.Span, rounded up.
func atMost(d time.Duration) string {
	unit := 24 * time.Hour
	switch {
	case d <= time.Minute-time.Second:
		unit = time.Second
	case d <= 2*time.Hour-time.Minute:
		unit = time.Minute
	case d <= 2*unit-time.Hour:
		unit = time.Hour
	}
	return status.Span(max((d+unit-1)/unit*unit, time.Second))
}

// track is a line of the timeline: the times of which each moment can be restored.
type track struct {
	label   string
	periods []status.Period
}

// tracks returns one for each place that has a journal.
func (p *painter) tracks() []track {
	var out []track
	for _, place := range status.Places() {
		periods := p.Restorable(place)
		if p.Journal.On && len(periods) > 0 && (place == status.Local || p.Enabled[status.Mirror]) {
			out = append(out, track{map[status.Place]string{status.Local: "Journal", status.S3: "S3 journal"}[place], periods})
		}
	}
	return out
}

// leastBar is how wide a period or a gap is at least, so that it can be seen.
const leastBar = 3.0

// journal draws a track.
func (p *plot) journal(t track, y int) strip {
	var bars, gaps strings.Builder
	within := func(t time.Time) float64 { return min(max(p.x(t), float64(p.Left)), float64(p.Right)) }
	end := -1.0
	for _, x := range t.periods {
		from, to := within(x.From), within(x.To)
		if end >= 0 {
			from = max(from, end+leastBar)
			fmt.Fprintf(&gaps, "M%.1f %dH%.1f", end, y, from)
		}
		end = max(to, from+leastBar)
		fmt.Fprintf(&bars, "M%.1f %dH%.1f", from, y, end)
	}
	return strip{Label: t.label, Y: y, TextY: y + 4, Bars: bars.String(), Gaps: gaps.String()}
}
