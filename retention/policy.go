// Package retention decides which snapshots to keep.
//
// It is pure: items and a time in, decisions with reasons out. It reads no clock and no file, and removes nothing itself,
// so every rule can be tested alone, and a dry run makes exactly the decisions of a real run.
//
// The invariant: the newest snapshot is never removed, and an invalid policy removes nothing.
//
// The rules have the same meaning as restic's ("Removing snapshots according to a policy" in its documentation).
// Hours, days, ISO weeks and months are in UTC, like the names of snapshots: the decision is the same on every node
// and does not shift with daylight saving time.
package retention

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Unlimited as a count keeps every snapshot of that kind.
const Unlimited = -1

// Policy says what to keep. A snapshot is kept if at least one rule keeps it. A count of 0 turns the rule off.
//
// Hourly, Daily, Weekly and Monthly keep the newest snapshot of each of the last N hours, days, weeks or months that have
// one; those without a snapshot do not count. While there are fewer than N, the oldest snapshot is kept too: so a short
// history reaches back to its start, rather than to the start of the current month.
type Policy struct {
	// Last is how many of the newest snapshots to keep.
	Last int
	// Within keeps snapshots younger than this, relative to the newest one that is not in the future, not to now: if
	// no new snapshots are taken, the old ones do not expire. 0 is off. A clock that ran ahead makes every earlier
	// snapshot look old; set Last too to protect against that.
	Within time.Duration

	Hourly  int
	Daily   int
	Weekly  int
	Monthly int
}

// IsZero reports whether no rule is set, so that the policy keeps nothing.
func (p Policy) IsZero() bool { return p == Policy{} }

// Validate returns a one-line error that names the wrong flag and the fix. It refuses counts below Unlimited, a negative
// duration, and a policy that keeps nothing.
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

// String lists the rules that are set: "last 24, within 7d, daily 7".
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

// rules returns the rules that are set, in the order of String and of the reasons.
func (p Policy) rules() []rule {
	all := []rule{
		count{"last", p.Last, nil},
		within(p.Within),
		count{"hourly", p.Hourly, startOf(time.Hour)},
		count{"daily", p.Daily, startOf(24 * time.Hour)},
		count{"weekly", p.Weekly, startOf(7 * 24 * time.Hour)},
		count{"monthly", p.Monthly, startOfMonth},
	}
	return slices.DeleteFunc(all, rule.off)
}
