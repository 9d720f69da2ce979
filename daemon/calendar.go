package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	everyHour = 1<<24 - 1 // the bits of the hours in the library's field
	starBit   = 1 << 63   // the library's mark of a field that begins with *
)

// calendar is a cron expression that is read by the clock on the wall of a time zone. Where that clock is changed, it does as cron(8) does:
//
//   - Runs that are due in an hour that the clock skips take place, as one run, right after the gap.
//   - Runs that are due in an hour that comes twice take place in the first of the two.
//   - An expression that has every hour follows the clock: no hour passes without its runs, and none is made up.
type calendar struct {
	fields cron.SpecSchedule // evaluated in UTC, where no hour is skipped or comes twice: the library's own way through a zone loses runs
	zone   *time.Location
	hourly bool
}

// parseCalendar parses five cron fields, or a word such as @hourly. The text of its errors follows the quoted schedule.
func parseCalendar(fields []string, zone *time.Location) (cron.Schedule, error) {
	if len(fields) == 5 {
		fields = append(slices.Clone(fields[:4]), sundayAsZero(fields[4]))
	}
	parsed, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		return nil, fmt.Errorf(": %w: %s", err, cronForm)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New(": " + cronForm)
	}
	c := calendar{fields: *spec, zone: zone, hourly: spec.Hour&everyHour == everyHour}
	c.fields.Location = time.UTC
	if len(fields) == 5 {
		// For cron(8), */2 is a field with a star too: days of the month and of the week must then both match. For the library it is not.
		c.fields.Dom |= star(fields[2])
		c.fields.Dow |= star(fields[4])
	}
	return c, nil
}

func star(field string) uint64 {
	if strings.HasPrefix(field, "*") {
		return starBit
	}
	return 0
}

// sundayAsZero rewrites the days of the week for the library, which knows Sunday as 0 and sun, but not as 7 and not at the end of a range.
func sundayAsZero(field string) string {
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat", "7"}
	parts := strings.Split(field, ",")
	for i, part := range parts {
		span, step, _ := strings.Cut(part, "/")
		first, last, isRange := strings.Cut(strings.ToLower(span), "-")
		from := slices.Index(days, first)
		if n, err := strconv.Atoi(first); err == nil {
			from = n
		}
		by, err := strconv.Atoi(step)
		if step == "" {
			by, err = 1, nil
		}
		switch {
		case err != nil || by < 1 || from < 0 || from > 7: // the library says what is wrong
		case from == 7 && (!isRange || last == "7" || last == "sun"):
			parts[i] = "0"
		case isRange && (last == "7" || last == "sun" && from > 0):
			var list []string
			for day := from; day <= 7; day += by {
				list = append(list, strconv.Itoa(day%7))
			}
			parts[i] = strings.Join(list, ",")
		}
	}
	return strings.Join(parts, ",")
}

// Next is the first run after t; zero if there is none within five years.
func (c calendar) Next(t time.Time) time.Time {
	at := t.In(c.zone)
	for after := wall(at); ; {
		begin, end := bounds(at)
		if !c.hourly && !begin.IsZero() {
			// What that clock showed before it was set back has had its run.
			if shown := wall(begin.Add(-1)); after.Before(shown) {
				after = shown
			}
		}
		due := c.fields.Next(after)
		if due.IsZero() {
			return due
		}
		_, ahead := at.Zone()
		if run := due.Add(-time.Duration(ahead) * time.Second); end.IsZero() || run.Before(end) {
			return run
		}
		at, after = end, wall(end).Add(-1)
		if due.After(after) {
			continue
		}
		// The clock is set forward over the run. An expression with every hour has another one soon, unless the clock skips a whole day.
		if next := c.fields.Next(after); !c.hourly || next.IsZero() || next.Sub(after) > time.Hour {
			return end
		}
	}
}

// bounds returns two moments around at between which the clock on the wall is not changed: begin is not after at, and end is after it.
// A zero begin or end is none.
func bounds(at time.Time) (begin, end time.Time) {
	begin, end = at.ZoneBounds()
	if !end.IsZero() && !end.After(at) { // Go's package time, at the end of leap years after 2037
		end = at.Add(time.Hour)
	}
	return begin, end
}

// wall is what a clock on the wall shows at t in t's time zone, as a time in UTC.
func wall(t time.Time) time.Time {
	_, ahead := t.Zone()
	return t.UTC().Add(time.Duration(ahead) * time.Second)
}
