package metrics

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// plot is an SVG in numbers: two panels, of size and of revision, and a strip for each place over one axis of time. Lengths
// are in units of its view box, which are pixels where it is shown at full width.
type plot struct {
	ID     string // also the class, by which the style sheet shows the one that fits the screen
	W, H   int
	Desc   string
	Left   int // of the drawing; the words stand before it
	Gutter int // where the words end
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
	Label    string
	Y, TextY int
	Path     string
}

const (
	panelHeight = 84
	panelGap    = 46 // holds the next panel's label
	stripHeight = 22
)

// newPlot draws rows, of which there is at least one, newest first. The axis ends now, so that a long silence is seen.
func newPlot(id string, width, left int, rows []row, withS3 bool, now time.Time) plot {
	p := plot{ID: id, W: width, Left: left, Gutter: left - 8, Right: width - 8, Top: 30, Stroke: "2", Dot: "5"}
	if len(rows) > 150 {
		p.Stroke, p.Dot = "1.25", "3"
	}
	latest, oldest := rows[0], rows[len(rows)-1]
	p.from, p.to = oldest.Time, now
	if latest.Time.After(p.to) {
		p.to = latest.Time
	}
	// A margin on the left, so that the oldest does not lie on the edge.
	p.from = p.from.Add(-max(p.to.Sub(p.from)/40, 30*time.Second))
	y := p.Top
	p.Panels = append(p.Panels, p.sizes(rows, y))
	y += panelHeight
	if r, ok := p.revisions(rows, y+panelGap); ok {
		p.Panels = append(p.Panels, r)
		y += panelGap + panelHeight
	}
	y += stripHeight + 4
	p.Strips = append(p.Strips, p.strip("Disk", y, rows, func(r row) bool { return slices.Contains(r.in, Local) }))
	if withS3 {
		y += stripHeight
		p.Strips = append(p.Strips, p.strip("S3", y, rows, func(r row) bool { return slices.Contains(r.in, S3) }))
	}
	p.Axis = y + 12
	p.TickY = p.Axis + 15
	p.H = p.TickY + 6
	p.ticks()
	p.Desc = fmt.Sprintf("%s from %s to %s.", count(len(rows), "snapshot", "snapshots"), absolute(oldest.Time), absolute(latest.Time))
	if old := past(rows, now); len(old) > 0 {
		p.Desc += " The newest has " + size(old[0].Size) + "."
	}
	return p
}

// x is where t lies, with one digit after the point: finer than a pixel.
func (p *plot) x(t time.Time) float64 {
	share := float64(t.Sub(p.from)) / float64(p.to.Sub(p.from))
	return float64(p.Left) + share*float64(p.Right-p.Left)
}

func (p *plot) sizes(rows []row, top int) panel {
	highest := int64(1)
	for _, r := range rows {
		highest = max(highest, r.Size)
	}
	full := roundUp(highest)
	base := top + panelHeight
	var stems, crosses strings.Builder
	for _, r := range rows {
		y := float64(base) - float64(r.Size)/float64(full)*panelHeight
		fmt.Fprintf(&stems, "M%.1f %dV%.1f", p.x(r.Time), base, y)
		if len(r.damaged) > 0 {
			fmt.Fprintf(&crosses, "M%.1f %.1fl8 8m0 -8l-8 8", p.x(r.Time)-4, y-10)
		}
	}
	return panel{
		Label: "Archive size", LabelY: top - 15, Stems: stems.String(), Crosses: crosses.String(),
		Marks: []valueMark{{top, top + 4, size(full)}, {top + panelHeight/2, top + panelHeight/2 + 4, size(full / 2)}, {base, base + 4, "0"}},
	}
}

// revisions is not ok when no revision is known.
func (p *plot) revisions(rows []row, top int) (out panel, ok bool) {
	var low, high int64
	for _, r := range rows {
		if r.Revision > 0 {
			high = max(high, r.Revision)
			if low == 0 || r.Revision < low {
				low = r.Revision
			}
		}
	}
	if high == 0 {
		return out, false
	}
	base := top + panelHeight
	var curve, dots strings.Builder
	step := "M"
	for _, r := range rows {
		if r.Revision <= 0 {
			continue
		}
		y := float64(top + panelHeight/2)
		if high > low {
			y = float64(base) - float64(r.Revision-low)/float64(high-low)*panelHeight
		}
		fmt.Fprintf(&curve, "%s%.1f %.1f", step, p.x(r.Time), y)
		fmt.Fprintf(&dots, "M%.1f %.1fh0", p.x(r.Time), y)
		step = "L"
	}
	out = panel{Label: "Revision", LabelY: top - 15, Curve: curve.String(), Dots: dots.String()}
	if high == low {
		out.Marks = []valueMark{{top + panelHeight/2, top + panelHeight/2 + 4, short(high)}}
		return out, true
	}
	out.Marks = []valueMark{{top, top + 4, short(high)}, {base, base + 4, short(low)}}
	return out, true
}

func (p *plot) strip(label string, y int, rows []row, in func(row) bool) strip {
	var b strings.Builder
	for _, r := range rows {
		if in(r) {
			fmt.Fprintf(&b, "M%.1f %dv8", p.x(r.Time), y-4)
		}
	}
	return strip{label, y, y + 4, b.String()}
}
