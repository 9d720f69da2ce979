package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Absolute formats a time in UTC for reasons and the status page; "never" for the zero time.
func Absolute(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// AbsoluteFrom is Absolute for the begin of a time: the next whole second, which is in it.
func AbsoluteFrom(t time.Time) string { return Absolute(t.Add(time.Second - 1).Truncate(time.Second)) }

// Relative formats a time relative to now: "12 min ago", "in 3 h".
func Relative(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d.Abs() < time.Second:
		return "just now"
	case d < 0:
		return "in " + Span(-d)
	}
	return Span(d) + " ago"
}

// Span formats a duration in its largest unit, rounded down; between one and two hours also with minutes.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Abs()
	switch {
	case d < time.Second:
		return "less than 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*time.Hour && d%time.Hour >= time.Minute:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/day)
}

// Size formats a number of bytes in binary units.
func Size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Grouped formats a number with a comma after each three digits.
func Grouped(n int64) string { return humanize.Comma(n) }

// Count formats a number with its noun.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(int64(n)) + " " + many
}

// oneLine joins the lines of an error's text, which may come from errors.Join or a program's output: in /readyz, each line is one
// reason.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}
