package retention

import (
	"slices"
	"time"
)

// GuardWindow is how long the guard protects snapshots from before a loss: a little less than a day, so that with a daily schedule
// the result does not depend on seconds.
const GuardWindow = 23*time.Hour + 30*time.Minute

// shrinkFactor is how many times smaller than an earlier one a database must be to count as shrunk.
const shrinkFactor = 2

// guardRule is one kind of loss: a value that is lower in the newest snapshot than in an earlier one.
type guardRule struct {
	reason string
	// measure returns the value to compare; 0: not known.
	measure func(Item) int64
	// factor times the newest value is less than a value from before the loss.
	factor int64
}

func guardRules() []guardRule {
	return []guardRule{
		{"from before the database shrank to less than half", func(x Item) int64 { return x.RawSize }, shrinkFactor},
		{"from before the revision fell", func(x Item) int64 { return x.Revision }, 1},
	}
}

// lost reports whether newest has lost data that before still has.
func (r guardRule) lost(before, newest Item) bool {
	return r.measure(newest) > 0 && r.factor*r.measure(newest) < r.measure(before)
}

// Guard keeps some snapshots that the policy would remove, if the newest snapshot shows a loss that happened after them. For each kind
// of loss it keeps the last snapshot from before the loss. Of the other earlier ones that the policy removes, it keeps the one with the
// highest value, because there may have been another loss before. Each is kept until [GuardWindow] after the snapshot that followed it.
// The first snapshot after the loss shows when it happened, so it is kept for as long as the one before it is kept, by guard or policy.
//
// While etcd's alarm CORRUPT is up, and for GuardWindow after that, see guardCorrupt.
//
// plan is ordered newest first, as Plan returns it for p, and is changed in place. Items dated after now are ignored, and so are those
// of predecessors: a restore sets the revision back on purpose, and Plan keeps what came before it.
func Guard(plan []Decision, p Policy, now time.Time) {
	var present []Decision
	var at []int
	for i, d := range plan {
		if d.Predecessor == "" {
			present, at = append(present, d), append(at, i)
		}
	}
	guardLosses(present, now)
	guardCorrupt(present, p, now)
	for n, i := range at {
		plan[i] = present[n]
	}
}

func guardLosses(plan []Decision, now time.Time) {
	newest, before, ok := split(itemsOf(plan), GuardWindow, now)
	if !ok {
		return
	}
	for _, r := range guardRules() {
		last, most := -1, -1
		for _, i := range before { // newest first
			if !r.lost(plan[i].Item, plan[newest].Item) {
				continue
			}
			if last < 0 {
				last = i
			}
			// One that the policy keeps does not count: the next prune might choose another one.
			byPolicy := plan[i].Keep && !plan[i].Guarded
			if !byPolicy && (most < 0 || r.measure(plan[i].Item) > r.measure(plan[most].Item)) {
				most = i
			}
		}
		for _, i := range []int{last, most} {
			if i >= 0 {
				plan[i].guard(r.reason)
			}
		}
		r.keepFirstAfter(plan, newest, len(before))
	}
}

// keepFirstAfter keeps the first snapshot after the latest loss for which one from before is kept but the first one after would be
// removed. Of snapshots older than the window, only those kept by the policy count.
func (r guardRule) keepFirstAfter(plan []Decision, newest, window int) {
	first := newest
	for i := newest + 1; i < len(plan); i++ {
		kept := plan[i].Keep && (i <= newest+window || !plan[i].Guarded)
		switch {
		case !r.lost(plan[i].Item, plan[newest].Item):
			first = i
		case kept && !plan[first].Keep:
			plan[first].guard("the first after the loss that the newest snapshot shows")
			return
		case kept:
			first = newest
		}
	}
}

func itemsOf(plan []Decision) []Item {
	items := make([]Item, len(plan))
	for i, d := range plan {
		items[i] = d.Item
	}
	return items
}

// guard keeps an item that the policy does not keep.
func (d *Decision) guard(reason string) {
	switch {
	case !d.Keep:
		d.Keep, d.Guarded, d.Reasons = true, true, []string{reason}
	case d.Guarded && !slices.Contains(d.Reasons, reason):
		d.Reasons = append(d.Reasons, reason)
	}
}

// Comparison compares the newest item with those before it.
type Comparison struct {
	Newest Item
	// RawSize is the largest database and Revision the highest revision of those before; 0: not known, or there is none.
	RawSize, Revision int64
	// LossSince is the time of the first item after the loss; zero: no loss.
	LossSince time.Time
}

// Shrank reports whether the newest database has less than half of the size of the largest one before.
func (c Comparison) Shrank() bool {
	return c.Newest.RawSize > 0 && shrinkFactor*c.Newest.RawSize < c.RawSize
}

// RevisionFell reports whether the newest revision is lower than one before.
func (c Comparison) RevisionFell() bool {
	return c.Newest.Revision > 0 && c.Newest.Revision < c.Revision
}

// Compare compares the newest item with those in the window before it and with the last one before the window, which may be the only
// one after a long downtime. Items dated after now are ignored. It returns false if there are no items.
func Compare(items []Item, window time.Duration, now time.Time) (Comparison, bool) {
	items = slices.Clone(items)
	slices.SortFunc(items, newerFirst)
	newest, before, ok := split(items, window, now)
	if !ok {
		return Comparison{}, false
	}
	c := Comparison{Newest: items[newest]}
	for _, i := range before {
		c.RawSize, c.Revision = max(c.RawSize, items[i].RawSize), max(c.Revision, items[i].Revision)
		lost := slices.ContainsFunc(guardRules(), func(r guardRule) bool { return r.lost(items[i], c.Newest) })
		if lost && c.LossSince.IsZero() {
			c.LossSince = items[i-1].Time
		}
	}
	return c, true
}

// split returns the index of the newest item, and the indexes of those that it is compared with: the ones whose successor was taken
// within the window before it. items is ordered newest first.
func split(items []Item, window time.Duration, now time.Time) (newest int, before []int, ok bool) {
	newest = slices.IndexFunc(items, func(x Item) bool { return !x.Time.After(now) })
	if newest < 0 {
		return 0, nil, false
	}
	for i := newest + 1; i < len(items) && items[newest].Time.Sub(items[i-1].Time) <= window; i++ {
		before = append(before, i)
	}
	return newest, before, true
}
