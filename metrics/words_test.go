package metrics

import (
	"strings"
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		relative(time.Time{}, now):                          "never",
		relative(now, now):                                  "just now",
		relative(now.Add(-time.Second), now):                "1 s ago",
		relative(now.Add(time.Second), now):                 "in 1 s",
		relative(now.Add(-59*time.Second), now):             "59 s ago",
		relative(now.Add(-time.Minute), now):                "1 min ago",
		relative(now.Add(-61*time.Minute), now):             "1 h 1 min ago",
		relative(now.Add(-2*time.Hour-59*time.Minute), now): "2 h ago",
		relative(now.Add(2*day-time.Second), now):           "in 47 h",
		relative(now.Add(-2*day), now):                      "2 days ago",
		relative(now.Add(-time.Hour), now):                  "1 h ago",
		span(time.Millisecond):                              "less than 1 s",
		absolute(time.Time{}):                               "never",
		absolute(now.In(time.FixedZone("", 3600))):          "2026-11-22 12:00:00 UTC",
		size(0):                       "0 B",
		size(1023):                    "1023 B",
		size(1024):                    "1.0 KiB",
		size(1<<20 - 1):               "1.0 MiB",
		size(123 << 20):               "123 MiB",
		size(1<<63 - 1):               "8.0 EiB",
		grouped(-1234567):             "-1,234,567",
		grouped(999):                  "999",
		short(999_999_999):            "999,999,999",
		short(1_000_000_000):          "1.00 G",
		short(123_456_000_000):        "123 G",
		short(12_300_000_000):         "12.3 G",
		size(roundUp(1)):              "4 B",
		size(roundUp(5 << 20)):        "6.0 MiB",
		size(roundUp(6<<20 + 1)):      "8.0 MiB",
		size(roundUp(1<<63 - 1)):      "8.0 EiB",
		oneLine("one:\ntwo\r\nthree"): "one: two; three",
		someOf([]string{"a"}) + someOf([]string{"b", "c", "d"}): "ab and 2 others",
		tickLabel(now, time.Hour):                               "12:00",
		tickLabel(now, time.Second):                             "12:00:00",
		tickLabel(now.Truncate(day), time.Hour):                 "22 Nov",
		tickLabel(now, 365*day):                                 "Nov 2026",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestPlotAtTheEdges draws what has no span, no revision or the wrong time: nothing may leave the frame or be no number.
func TestPlotAtTheEdges(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration, bytes, revision int64) row {
		return row{Snapshot: Snapshot{Time: now.Add(d), Size: bytes, Revision: revision}, in: []Place{Local}}
	}
	for name, c := range map[string]struct {
		rows   []row
		panels int
	}{
		"one, now":        {[]row{at(0, 1, 1)}, 2},
		"nothing known":   {[]row{at(-time.Hour, 0, 0)}, 1},
		"of one moment":   {[]row{at(0, 5, 7), at(0, 5, 7)}, 2},
		"from the future": {[]row{at(time.Hour, 5, 7), at(-time.Hour, 9, 3)}, 2},
		"of ten years":    {[]row{at(0, 5, 7), at(-10*365*24*time.Hour, 9, 3)}, 2},
		"revision falls":  {[]row{at(0, 5, 3), at(-time.Minute, 5, 1<<62)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlot("x", 320, 80, c.rows, true, now)
			if len(p.Panels) != c.panels || len(p.Strips) != 2 {
				t.Errorf("%d panels, %d strips", len(p.Panels), len(p.Strips))
			}
			if n := len(p.Ticks); n > 6 {
				t.Errorf("%d ticks", n)
			}
			for _, r := range c.rows {
				if x := p.x(r.Time); x < float64(p.Left) || x > float64(p.Right) {
					t.Errorf("%s lies at %f", r.Time, x)
				}
			}
			for _, x := range p.Panels {
				if all := x.Stems + x.Curve + x.Dots; strings.Contains(all, "NaN") || strings.Contains(all, "Inf") || strings.Contains(all, "-") {
					t.Errorf("%s", all)
				}
			}
		})
	}
}
