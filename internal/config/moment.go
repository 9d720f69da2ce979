package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"etcd-rolling-backup/daemon"
)

const momentForms = `use a time such as 2006-01-02T15:04:05Z, "2006-01-02 15:04:05", 15:04:05 or "10m ago"`

// ParseMoment reads a moment of the past: RFC 3339; a date and a time, in the zone of now or followed by UTC; a time alone, which means the last
// one before now; or a duration followed by ago. Where the clock was changed, a time that it skipped or had twice is refused.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	at, err := parseMoment(text, now)
	switch {
	case errors.Is(err, errForm):
		return time.Time{}, Usagef("%q is not a moment: %s", text, momentForms)
	case err != nil:
		return time.Time{}, Usagef("%q %w", text, err)
	case at.After(now):
		return time.Time{}, Usagef("%q is in the future: it is now %s", text, now.Format(time.RFC3339))
	}
	return at, nil
}

var errForm = errors.New("unknown form")

func parseMoment(text string, now time.Time) (time.Time, error) {
	if length, ok := strings.CutSuffix(text, " ago"); ok {
		d, err := daemon.ParseDuration(strings.TrimSpace(length))
		if err != nil || d < 0 {
			return time.Time{}, errForm
		}
		return now.Add(-d), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.DateTime+" UTC", text); err == nil { // as list prints it
		return at, nil
	}
	for _, form := range []string{time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if wall, err := time.Parse(form, text); err == nil {
			return onClock(wall, now)
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} {
		if wall, err := time.Parse(form, text); err == nil {
			y, m, d := now.Date()
			wall = wall.AddDate(y, int(m)-1, d-1)
			if at, err := onClock(wall, now); err != nil || !at.After(now) {
				return at, err
			}
			return onClock(wall.AddDate(0, 0, -1), now)
		}
	}
	return time.Time{}, errForm
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
