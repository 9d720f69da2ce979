package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// plot has the numbers of an SVG: two panels, for size and revision, and a strip for each place, over one time axis. Lengths
// are in units of its view box: pixels if it is shown at full width.
type plot struct {
	ID     string // also the class, with which the style sheet selects the one that fits the screen
	W, H   int
	Desc   string
	Left   int // of the drawing; the labels are left of it
	Gutter int // where the labels end
	Right  int
	Top    int
	Axis   int
	TickY  int
	Stroke string
	Dot    string
	Ticks  []timeTick
	Panels []panel
	Strips []strip

	from, to time.Time
}

type timeTick struct {
	X             string
	Label, Anchor string
}

type panel struct {
	Label                       string
	LabelY                      int
	Marks                       []valueMark
	Stems, Curve, Dots, Crosses string
}

type valueMark struct {
	Y, TextY int
	Label    string
}

type strip struct {
	Label      string
	Y, TextY   int
	Path       string // of the snapshots
	Bars, Gaps string // of the journal
}

const (
	panelHeight = 84
	panelGap    = 46 // for the next panel's label
	stripHeight = 22
)

// newPlot plots the rows, at least one, newest first. The axis ends at now, so that a long time without snapshots is visible.
func newPlot(id string, width, left int, rows []row, withS3 bool, tracks []track, now time.Time) plot {
	p := plot{ID: id, W: width, Left: left, Gutter: left - 8, Right: width - 8, Top: 30, Stroke: "2", Dot: "5"}
	if len(rows) > 150 {
		p.Stroke, p.Dot = "1.25", "3"
	}
	latest, oldest := rows[0], rows[len(rows)-1]
	p.to = slices.MaxFunc([]time.Time{now, latest.Name.Time}, time.Time.Compare)
	// A margin on the left, so that the oldest snapshot is not on the edge.
	p.from = oldest.Name.Time.Add(-max(p.to.Sub(oldest.Name.Time)/40, 30*time.Second))
	y := p.Top
	p.Panels = append(p.Panels, p.sizes(rows, y))
	y += panelHeight
	if r, ok := p.revisions(rows, y+panelGap); ok {
		p.Panels = append(p.Panels, r)
		y += panelGap + panelHeight
	}
	y += stripHeight + 4
	p.Strips = append(p.Strips, p.strip("Disk", y, rows, status.Local))
	if withS3 {
		y += stripHeight
		p.Strips = append(p.Strips, p.strip("S3", y, rows, status.S3))
	}
	for _, t := range tracks {
		y += stripHeight
		p.Strips = append(p.Strips, p.journal(t, y))
	}
	p.Axis = y + 12
	p.TickY = p.Axis + 15
	p.H = p.TickY + 6
	p.ticks()
	p.Desc = fmt.Sprintf("%s from %s to %s.", status.Count(len(rows), "snapshot", "snapshots"), status.Absolute(oldest.Name.Time), status.Absolute(latest.Name.Time))
	if i := slices.IndexFunc(rows, func(r row) bool { return !r.Name.Time.After(now) }); i >= 0 {
		p.Desc += " The newest has " + status.Size(rows[i].Size) + "."
	}
	return p
}

// x returns the horizontal position of t.
func (p *plot) x(t time.Time) float64 {
	return float64(p.Left) + float64(t.Sub(p.from))/float64(p.to.Sub(p.from))*float64(p.Right-p.Left)
}

func (p *plot) sizes(rows []row, top int) panel {
	full := roundUp(max(slices.MaxFunc(rows, func(a, b row) int { return cmp.Compare(a.Size, b.Size) }).Size, 1))
	base := top + panelHeight
	var stems, crosses strings.Builder
	for _, r := range rows {
		y := float64(base) - float64(r.Size)/float64(full)*panelHeight
		fmt.Fprintf(&stems, "M%.1f %dV%.1f", p.x(r.Name.Time), base, y)
		if len(r.damaged) > 0 {
			fmt.Fprintf(&crosses, "M%.1f %.1fl8 8m0 -8l-8 8", p.x(r.Name.Time)-4, y-10)
		}
	}
	return panel{
		Label: "Archive size", LabelY: top - 15, Stems: stems.String(), Crosses: crosses.String(),
		Marks: []valueMark{{top, top + 4, status.Size(full)}, {top + panelHeight/2, top + panelHeight/2 + 4, status.Size(full / 2)}, {base, base + 4, "0"}},
	}
}

// revisions returns false if no revision is known.
func (p *plot) revisions(rows []row, top int) (out panel, ok bool) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Revision <= 0 })
	if len(rows) == 0 {
		return out, false
	}
	byRevision := func(a, b row) int { return cmp.Compare(a.Revision, b.Revision) }
	low, high := slices.MinFunc(rows, byRevision).Revision, slices.MaxFunc(rows, byRevision).Revision
	base := top + panelHeight
	var curve, dots strings.Builder
	step := "M"
	for _, r := range rows {
		y := float64(top + panelHeight/2)
		if high > low {
			y = float64(base) - float64(r.Revision-low)/float64(high-low)*panelHeight
		}
		fmt.Fprintf(&curve, "%s%.1f %.1f", step, p.x(r.Name.Time), y)
		fmt.Fprintf(&dots, "M%.1f %.1fh0", p.x(r.Name.Time), y)
		step = "L"
	}
	marks := []valueMark{{top, top + 4, short(high)}, {base, base + 4, short(low)}}
	if high == low {
		marks = []valueMark{{top + panelHeight/2, top + panelHeight/2 + 4, short(high)}}
	}
	return panel{Label: "Revision", LabelY: top - 15, Curve: curve.String(), Dots: dots.String(), Marks: marks}, true
}

func (p *plot) strip(label string, y int, rows []row, in status.Place) strip {
	var b strings.Builder
	for _, r := range rows {
		if slices.Contains(r.in, in) {
			fmt.Fprintf(&b, "M%.1f %dv8", p.x(r.Name.Time), y-4)
		}
	}
	return strip{Label: label, Y: y, TextY: y + 4, Path: b.String()}
}

// ticks marks round times in UTC, as many as fit.
func (p *plot) ticks() {
	const day = 24 * time.Hour
	room := time.Duration(max((p.Right-p.Left)/110, 2))
	step := 730 * day
	for _, s := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 182 * day, 365 * day,
	} {
		if p.to.Sub(p.from)/s <= room {
			step = s
			break
		}
	}
	for t := p.from.UTC().Truncate(step).Add(step); !t.After(p.to); t = t.Add(step) {
		x := p.x(t)
		anchor := "middle"
		if x > float64(p.Right-24) {
			anchor = "end"
		}
		p.Ticks = append(p.Ticks, timeTick{strconv.FormatFloat(x, 'f', 1, 64), tickLabel(t, step), anchor})
	}
}

// tickLabel returns the part of t that differs between ticks.
func tickLabel(t time.Time, step time.Duration) string {
	switch {
	case step > 180*24*time.Hour:
		return t.Format("Jan 2006")
	case t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0:
		return t.Format("2 Jan")
	case step < time.Minute:
		return t.Format("15:04:05")
	}
	return t.Format("15:04")
}

// roundUp returns the next of 1, 2, 4, ... times a power of 1024 bytes, or of 1.5, 3, 6, ... if that is less, so that half of it
// is a round number too.
func roundUp(n int64) int64 {
	for v := int64(4); v > 0 && v < 1<<62; v *= 2 {
		if n <= v {
			return v
		}
		if w := v / 2 * 3; n <= w {
			return w
		}
	}
	return n
}

// short formats a number in full if it fits next to the plot, otherwise with about three digits and a unit prefix.
func short(n int64) string {
	if n < 1_000_000_000 {
		return status.Grouped(n)
	}
	v, i := float64(n)/1000, 0
	for v >= 999.5 && i < 5 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%s %c", strings.TrimSuffix(fmt.Sprintf("%#.3g", v), "."), "kMGTPE"[i])
}
