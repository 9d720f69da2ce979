package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rule is one line of a policy.
type rule interface {
	off() bool
	validate() error
	// apply marks what the rule keeps. The plan is ordered newest first, without items dated in the future.
	apply(plan []Decision)
	String() string
}

// count keeps the newest snapshot of each of the last limit periods that have one.
type count struct {
	name  string
	limit int
	// start returns the start of the period that contains t. Nil makes every snapshot a period of its own.
	start func(t time.Time) time.Time
}

func (c count) off() bool { return c.limit == 0 }

func (c count) validate() error {
	if c.limit < Unlimited {
		return fmt.Errorf("--keep-%s is %d: must be the number of snapshots to keep, %d for all, or 0 for off",
			c.name, c.limit, Unlimited)
	}
	return nil
}

func (c count) apply(plan []Decision) {
	used := 0
	for i := range plan {
		if used == c.limit {
			return
		}
		opens := i == 0 || !c.samePeriod(plan[i-1].Time, plan[i].Time)
		oldest := i == len(plan)-1
		if !opens && !oldest {
			continue
		}
		used++
		reason := fmt.Sprintf("%s %d of %s", c.name, used, c.limitText())
		if !opens {
			reason = "oldest, " + reason
		}
		plan[i].keep(reason)
	}
}

func (c count) samePeriod(a, b time.Time) bool {
	return c.start != nil && c.start(a).Equal(c.start(b))
}

func (c count) String() string { return c.name + " " + c.limitText() }

func (c count) limitText() string {
	if c.limit == Unlimited {
		return "unlimited"
	}
	return strconv.Itoa(c.limit)
}

// startOf returns the start of an hour, day or ISO week in UTC, for times in any zone and across years: Truncate counts from the zero
// time, which is a Monday at 00:00 UTC (1 January of year 1).
func startOf(period time.Duration) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.Truncate(period) }
}

func startOfMonth(t time.Time) time.Time {
	year, month, _ := t.UTC().Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// within keeps snapshots that are younger than this, relative to the newest. One of exactly this age is not kept.
type within time.Duration

func (w within) off() bool { return w == 0 }

func (w within) validate() error {
	if w < 0 {
		return fmt.Errorf("--keep-within is %s: must be a positive duration, or 0 for off", time.Duration(w))
	}
	return nil
}

func (w within) apply(plan []Decision) {
	for i := range plan {
		if plan[0].Time.Sub(plan[i].Time) >= time.Duration(w) {
			return
		}
		plan[i].keep(w.String())
	}
}

// String writes full days as "d", which time.Duration does not do, and omits units that are zero.
func (w within) String() string {
	const day = 24 * time.Hour
	days, rest := time.Duration(w)/day, time.Duration(w)%day
	text := rest.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	switch {
	case days == 0:
		return "within " + text
	case rest == 0:
		return fmt.Sprintf("within %dd", days)
	default:
		return fmt.Sprintf("within %dd%s", days, text)
	}
}
