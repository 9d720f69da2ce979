package page

import (
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

func TestPlotFormat(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		short(999_999_999):                      "999,999,999",
		short(1_000_000_000):                    "1.00 G",
		short(123_456_000_000):                  "123 G",
		short(12_300_000_000):                   "12.3 G",
		status.Size(roundUp(1)):                 "4 B",
		status.Size(roundUp(5 << 20)):           "6.0 MiB",
		status.Size(roundUp(6<<20 + 1)):         "8.0 MiB",
		status.Size(roundUp(1<<63 - 1)):         "8.0 EiB",
		tickLabel(now, time.Hour):               "12:00",
		tickLabel(now, time.Second):             "12:00:00",
		tickLabel(now.Truncate(day), time.Hour): "22 Nov",
		tickLabel(now, 365*day):                 "Nov 2026",
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
		return row{Copy: status.Copy{Name: snapshot.Name{Time: now.Add(d)}, Size: bytes, Facts: snapshot.Facts{Revision: revision}}, in: []status.Place{status.Local}}
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
			p := newPlot("x", 320, 80, c.rows, true, nil, now)
			if len(p.Panels) != c.panels || len(p.Strips) != 2 {
				t.Errorf("%d panels, %d strips", len(p.Panels), len(p.Strips))
			}
			if n := len(p.Ticks); n > 6 {
				t.Errorf("%d ticks", n)
			}
			for _, r := range c.rows {
				if x := p.x(r.Name.Time); x < float64(p.Left) || x > float64(p.Right) {
					t.Errorf("%s is drawn at %f", r.Name.Time, x)
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
