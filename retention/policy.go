// Package retention decides which snapshots to keep.
//
// It is pure policy: items and a moment in, a decision and its reasons out. It reads no clock, touches no file and
// removes nothing itself, so that every rule can be tested alone and a dry run decides exactly what a real run does.
//
// The invariant: the newest snapshot is never removed, and a policy that makes no sense removes nothing.
//
// The rules mean what restic's do ("Removing snapshots according to a policy" in its documentation), so that nobody
// has to learn them twice. Hours, days, ISO weeks and months are those of UTC, as the names of snapshots are:
// the decision is the same on every node and does not shift with daylight saving.
package retention

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Unlimited as a count keeps every snapshot of that kind.
const Unlimited = -1

// Policy says what to keep. A snapshot kept by any one rule is kept. In a count 0 is off and Unlimited has no end.
//
// Hourly, Daily, Weekly and Monthly keep the newest snapshot of each of the last so many hours, days, weeks or months
// that have one; empty ones use up no count. While such a count is not used up the oldest snapshot is kept too:
// a young history then reaches back to its start, rather than to the last turn of the month.
type Policy struct {
	// Last is how many of the newest snapshots to keep.
	Last int
	// Within keeps what is younger than this, counted back from the newest snapshot that is not in the future and not
	// from now: when no new snapshots arrive, the old ones do not age away. 0 is off. A clock that ran ahead makes
	// every earlier snapshot look old; a Last beside it guards against that.
	Within time.Duration

	Hourly  int
	Daily   int
	Weekly  int
	Monthly int
}

// IsZero reports whether no rule is set, so that the policy keeps nothing.
func (p Policy) IsZero() bool { return p == Policy{} }

// Validate says in one line which flag is wrong and how to mend it. It refuses counts below Unlimited, a duration
// below zero, and a policy that keeps nothing.
func (p Policy) Validate() error {
	for _, r := range p.rules() {
		if err := r.validate(); err != nil {
			return err
		}
	}
	if p.IsZero() {
		return errors.New("the policy keeps nothing: set at least one of --keep-last, --keep-within, --keep-hourly, " +
			"--keep-daily, --keep-weekly, --keep-monthly")
	}
	return nil
}

// String lists the rules that are set, for people: "last 24, within 7d, daily 7".
func (p Policy) String() string {
	if p.IsZero() {
		return "nothing"
	}
	var parts []string
	for _, r := range p.rules() {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, ", ")
}

// rules returns the rules that are set, in the order in which they are listed and give their reasons.
func (p Policy) rules() []rule {
	all := []rule{
		count{"last", p.Last, nil},
		within(p.Within),
		count{"hourly", p.Hourly, startOfHour},
		count{"daily", p.Daily, startOfDay},
		count{"weekly", p.Weekly, startOfWeek},
		count{"monthly", p.Monthly, startOfMonth},
	}
	return slices.DeleteFunc(all, rule.off)
}
