package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"etcd-rolling-backup/daemon"
)

var errForm = errors.New(`use a time such as 2026-11-29T14:03:06Z, "2026-11-29 14:03:06", 14:03:06 or "10m ago", or a revision such as 98211`)

// ParseMoment reads a moment of the past: RFC 3339; a date with or without a time, in the zone of now or followed by UTC; a time alone, which means the
// last one before now; a duration such as 10m, with or without ago, which may also be words: 2 hours ago; or now. Where the clock was changed, a time
// that it skipped or had twice is refused.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.Join(strings.Fields(text), " ")
	at, err := parseMoment(text, now)
	switch {
	case errors.Is(err, errForm):
		return time.Time{}, Usagef("%q is not a moment: %w", text, err)
	case err != nil:
		return time.Time{}, Usagef("%q %w", text, err)
	case at.After(now):
		return time.Time{}, Usagef("%q is in the future: it is now %s", text, now.Format(time.RFC3339))
	}
	return at, nil
}

func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if d, ok := parseAgo(text); ok {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", time.DateTime + " UTC", "2006-01-02 15:04 UTC"} { // list prints the third one
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	for _, form := range []string{time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if wall, err := time.Parse(form, text); err == nil {
			return onClock(wall, now)
		}
	}
	return parseClock(text, now)
}

// parseClock reads a time alone.
func parseClock(text string, now time.Time) (time.Time, error) {
	for _, zone := range []string{" UTC", "Z"} {
		if clock, ok := strings.CutSuffix(text, zone); ok {
			return lastClock(clock, now.UTC())
		}
	}
	return lastClock(text, now)
}

// Yesterdays reports that a moment is a time alone which the clock has not shown yet today, so that yesterday's is meant.
func Yesterdays(text string, now time.Time) bool {
	at, err := parseClock(strings.Join(strings.Fields(text), " "), now)
	return err == nil && at.Day() != now.In(at.Location()).Day()
}

// lastClock returns when the clock, in the zone of now, last showed a time of day.
func lastClock(text string, now time.Time) (time.Time, error) {
	for _, form := range []string{time.TimeOnly, "15:04"} {
		wall, err := time.Parse(form, text)
		if err != nil {
			continue
		}
		y, m, d := now.Date()
		wall = wall.AddDate(y, int(m)-1, d-1)
		if at, err := onClock(wall, now); err != nil || !at.After(now) {
			return at, err
		}
		return onClock(wall.AddDate(0, 0, -1), now)
	}
	return time.Time{}, errForm
}

// parseAgo reads how long ago something was: 10m, 1d2h ago, 1 minute ago, 2 hours 30 minutes ago.
func parseAgo(text string) (time.Duration, bool) {
	length, _ := strings.CutSuffix(text, " ago")
	if words := strings.Fields(length); len(words) > 1 && len(words)%2 == 0 {
		length = ""
		for i := 0; i < len(words); i += 2 {
			length += words[i] + unit(words[i+1])
		}
	}
	d, err := daemon.ParseDuration(length)
	return d, err == nil && d >= 0 && length != "0" // which has no unit
}

// unit is the short form of a unit of time.
func unit(word string) string {
	switch word {
	case "second", "seconds", "sec", "secs":
		return "s"
	case "minute", "minutes", "min", "mins":
		return "m"
	case "hour", "hours", "hr", "hrs":
		return "h"
	case "day", "days":
		return "d"
	case "week", "weeks":
		return "w"
	}
	return word
}

// onClock returns when the clock on the wall, in the zone of now, showed what wall shows in UTC. Of two such moments, one in the future does not count.
func onClock(wall, now time.Time) (time.Time, error) {
	guess := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), now.Location())
	other := guess // a moment on the other side of the nearest change
	start, end := guess.ZoneBounds()
	switch {
	case !start.IsZero() && (end.IsZero() || guess.Sub(start) < end.Sub(guess)):
		other = start.Add(-time.Nanosecond)
	case !end.IsZero():
		other = end
	}
	in := func(side time.Time) (at time.Time, shown bool) {
		name, offset := side.Zone()
		at = wall.Add(-time.Duration(offset) * time.Second).In(time.FixedZone(name, offset))
		_, has := at.In(now.Location()).Zone()
		return at, has == offset
	}
	a, shownA := in(guess)
	b, shownB := in(other)
	both := fmt.Sprintf("%s or %s", a.Format(time.RFC3339Nano), b.Format(time.RFC3339Nano))
	if b.Before(a) {
		both = fmt.Sprintf("%s or %s", b.Format(time.RFC3339Nano), a.Format(time.RFC3339Nano))
	}
	switch {
	case !shownA && !shownB:
		return a, fmt.Errorf("does not exist: the clock skipped it when it was set forward: use %s", both)
	case shownA && shownB && !a.Equal(b) && !a.After(now) && !b.After(now):
		return a, fmt.Errorf("was twice: the clock was set back: use %s", both)
	case !shownA, shownB && b.Before(a):
		a = b
	}
	return a.In(now.Location()), nil
}
