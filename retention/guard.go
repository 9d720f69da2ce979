package retention

import (
	"slices"
	"time"
)

// GuardWindow is for how long the guard protects what came before a loss: a little less than a day, so that a daily schedule
// does not decide by its seconds.
const GuardWindow = 23*time.Hour + 30*time.Minute

// shrinkFactor says how much smaller than one before it a database must be to count as shrunk.
const shrinkFactor = 2

// guardRule is one kind of loss: something that the newest snapshot has less of than an earlier one.
type guardRule struct {
	reason string
	// measure is what is compared; 0: not known.
	measure func(Item) int64
	// factor times the newest one's measure is still less than the measure of one from before the loss.
	factor int64
}

func guardRules() []guardRule {
	return []guardRule{
		{"from before the database shrank to less than half", func(x Item) int64 { return x.RawSize }, shrinkFactor},
		{"from before the revision fell", func(x Item) int64 { return x.Revision }, 1},
	}
}

// lost tells whether newest has lost what before still has.
func (r guardRule) lost(before, newest Item) bool {
	return r.measure(newest) > 0 && r.factor*r.measure(newest) < r.measure(before)
}

// Guard keeps what the policy would remove although the newest snapshot shows a loss that came after it. For each kind of loss it keeps
// the last snapshot from before it; of the others from before it that the policy removes, the one that has most, for before this
// loss there may have been another. Each of them is kept until [GuardWindow] after the one that followed it. The first snapshot after
// the loss shows when it happened: it is kept for as long as the one before it, whoever keeps that.
//
// plan is ordered newest first, as Plan returns it, and is changed in place. What is dated after now is not looked at.
func Guard(plan []Decision, now time.Time) {
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
			// One that the policy keeps is no substitute: pruned again, it might be another one.
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

// keepFirstAfter keeps the first snapshot after a loss, of the latest loss whose first would be removed while one from before it is kept.
// Of those that are older than the window only what the policy keeps counts, for Compared can't know more.
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

// guard keeps what no rule of the policy keeps.
func (d *Decision) guard(reason string) {
	if !d.Keep {
		d.Keep, d.Guarded, d.Reasons = true, true, []string{reason}
	}
}

// Comparison holds the newest item against those before it.
type Comparison struct {
	Newest Item
	// RawSize is the largest database and Revision the highest revision of those before; 0: not known, or there is none.
	RawSize, Revision int64
	// LossSince is when the newest item from before a loss was followed by another one; zero: no loss.
	LossSince time.Time
}

// Shrank tells whether the newest database has less than half of the largest before it.
func (c Comparison) Shrank() bool {
	return c.Newest.RawSize > 0 && shrinkFactor*c.Newest.RawSize < c.RawSize
}

// RevisionFell tells whether the newest revision is lower than one before it.
func (c Comparison) RevisionFell() bool {
	return c.Newest.Revision > 0 && c.Newest.Revision < c.Revision
}

// Compare compares the newest item with those of the window before it, and with the last one before that window, which alone is
// there after a long stop. What is dated after now is not looked at. It is false when nothing is there.
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

// Compared are the items of a plan whose details [Guard] needs: the newest, those before it whose successor is not older than the window,
// and of the older ones the kept ones whose successors are removed, with those. The details of all others do not matter.
func Compared(plan []Decision, now time.Time) []Item {
	newest, before, ok := split(itemsOf(plan), GuardWindow, now)
	if !ok {
		return nil
	}
	out := []Item{plan[newest].Item}
	for _, i := range before {
		out = append(out, plan[i].Item)
	}
	var removed []Item // since the last kept one
	for i := newest + 1 + len(before); i < len(plan); i++ {
		if !plan[i].Keep {
			removed = append(removed, plan[i].Item)
		} else if !plan[i-1].Keep {
			out, removed = slices.Concat(out, removed, []Item{plan[i].Item}), nil
		}
	}
	return out
}

// split finds the newest of the items, which are ordered newest first, and those that it is compared with: whose successor was
// taken within the window before it. It gives their places in items.
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
