package retention

import (
	"cmp"
	"slices"
	"time"
)

// Item is a snapshot as far as retention knows one.
type Item struct {
	// ID tells snapshots apart for the caller, such as a name. It also orders those of one and the same time.
	ID string
	// Time is when the snapshot was taken. Its zone does not matter.
	Time time.Time
	// RawSize is the size of its database in bytes, and Revision its revision; 0: not known. Only the guard reads them.
	RawSize, Revision int64
}

// Decision is what becomes of an item, and why.
type Decision struct {
	Item
	// Keep is false for what is to be removed.
	Keep bool
	// Guarded tells that the guard keeps it and the policy does not.
	Guarded bool
	// Reasons is never empty: each rule that keeps the item ("last 3 of 24", "within 7d"), or why nothing does.
	Reasons []string
}

// Plan decides on every item and returns them newest first; of equal times the greater ID counts as the newer.
// The order of items does not matter, and they are not changed.
//
// An item dated after now was taken under a wrong clock. It is kept and uses up no count, so that it never pushes out
// a snapshot whose date is right. The newest of the others is always kept. When Validate refuses the policy
// everything is kept: a mistake in the policy must not cost a snapshot.
//
// Plan can be repeated at any moment. On what it kept, it decides the same again, for the same reasons; and pruning after
// each new snapshot leaves the same ones as pruning once at the end.
func Plan(items []Item, p Policy, now time.Time) []Decision {
	plan := newestFirst(items)
	if p.Validate() != nil {
		for i := range plan {
			plan[i].keep("the policy is not valid")
		}
		return plan
	}

	future := 0
	for future < len(plan) && plan[future].Time.After(now) {
		plan[future].keep("dated in the future")
		future++
	}
	p.apply(plan[future:])

	for i := range plan {
		if !plan[i].Keep {
			plan[i].Reasons = []string{"no rule keeps it"}
		}
	}
	return plan
}

// apply marks what the policy keeps of a plan that is ordered newest first and holds nothing dated in the future.
func (p Policy) apply(plan []Decision) {
	if len(plan) == 0 {
		return
	}
	// Every rule keeps the newest by itself. Said apart, it holds whatever becomes of the rules.
	plan[0].keep("newest")
	for _, r := range p.rules() {
		r.apply(plan)
	}
}

func (d *Decision) keep(reason string) {
	d.Keep = true
	d.Reasons = append(d.Reasons, reason)
}

func newestFirst(items []Item) []Decision {
	plan := make([]Decision, len(items))
	for i, item := range items {
		plan[i].Item = item
	}
	slices.SortFunc(plan, func(a, b Decision) int { return newerFirst(a.Item, b.Item) })
	return plan
}

func newerFirst(a, b Item) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.ID, a.ID)) }
