package retention

import (
	"cmp"
	"slices"
	"time"
)

// Item is what retention knows about a snapshot.
type Item struct {
	// ID identifies the snapshot for the caller, such as a name. It also orders snapshots of the same time.
	ID string
	// Time is when the snapshot was taken. Its zone does not matter.
	Time time.Time
	// RawSize is the size of its database in bytes, InUse how many of these etcd used, and Revision its revision; 0: not known. Keys is the
	// number of live keys, if KeysKnown. Only the guard reads them.
	RawSize, InUse, Revision int64
	Keys                     int64
	KeysKnown                bool
	// Corrupt is true if etcd had raised the alarm CORRUPT when it was taken. Only the guard reads it.
	Corrupt bool
	// Damaged is true if it can't be restored any more. It shows what there was all the same. Only Compare reads it.
	Damaged bool
	// Predecessor identifies the earlier cluster that it was taken from, if the present one was restored from that one; "": it is of
	// the present cluster.
	Predecessor string
}

// Decision says whether an item is kept, and why.
type Decision struct {
	Item
	// Keep is false if the item must be removed.
	Keep bool
	// Guarded is true if only the guard keeps it.
	Guarded bool
	// Reasons is never empty: each rule that keeps the item ("last 3 of 24", "within 7d"), or why nothing does.
	Reasons []string
}

// Plan decides on every item and returns them newest first; with equal times, the greater ID is the newer one.
// The order of items does not matter, and they are not changed.
//
// An item dated after now was taken with a wrong clock. It is kept and does not count, so it never displaces a snapshot
// with a correct date. The newest of the others is always kept. If Validate refuses the policy, everything is kept: a
// mistake in the policy must not remove a snapshot.
//
// Snapshots of the present cluster and of its predecessors are one history for the policy. Those of predecessors are also kept as
// [SuccessionWindow] says.
//
// Plan can be repeated at any time. Applied to what it kept, it decides the same again, for the same reasons. Pruning
// after each new snapshot keeps the same ones as pruning once at the end.
func Plan(items []Item, p Policy, now time.Time) []Decision {
	plan := make([]Decision, len(items))
	for i, x := range slices.SortedFunc(slices.Values(items), newerFirst) {
		plan[i].Item = x
	}
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
	if future < len(plan) {
		plan[future].keep("newest") // every rule keeps it anyway; this holds also if a rule changes
		for _, r := range p.rules() {
			r.apply(plan[future:])
		}
		succeed(plan[future:], p)
	}
	for i := range plan {
		if !plan[i].Keep {
			plan[i].Reasons = []string{"no rule keeps it"}
		}
	}
	return plan
}

func (d *Decision) keep(reason string) {
	d.Keep = true
	d.Reasons = append(d.Reasons, reason)
}

func newerFirst(a, b Item) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.ID, a.ID)) }
