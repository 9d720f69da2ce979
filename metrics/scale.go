package metrics

import (
	"fmt"
	"strconv"
	"time"
)

// ticks marks round times in UTC, as many as have room.
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

// tickLabel tells as much of t as tells it from its neighbors.
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

// roundUp is the next of 1, 2, 4, ... times a power of 1024 bytes, or of 1.5, 3, 6, ... if that is less, so that halves of it
// are round too.
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

// short is a count in full as long as it fits beside the plot, then with about three digits and its power of a thousand.
func short(n int64) string {
	if n < 1_000_000_000 {
		return grouped(n)
	}
	v, i := float64(n)/1000, 0
	for v >= 999.5 && i < 5 {
		v, i = v/1000, i+1
	}
	digits := 2
	if v >= 100 {
		digits = 0
	} else if v >= 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %c", digits, v, "kMGTPE"[i])
}
