package retention

import (
	"slices"
	"time"
)

// GuardWindow is how long the guard protects snapshots from before a loss: a little less than a day, so that with a daily schedule
// the result does not depend on seconds.
const GuardWindow = 23*time.Hour + 30*time.Minute

// Guard keeps some snapshots that the policy would remove, if the newest snapshot shows a loss that happened after them. For each kind
// of loss it keeps the last snapshot from before the loss. Of the other earlier ones that the policy removes, it keeps the one with the
// highest value, because there may have been another loss before; of keys also before there is a loss, see keepPeak, and after keys have
// come back, see keepEarlierLosses. Each is kept until [GuardWindow] after the snapshot that followed it.
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
	items := itemsOf(plan)
	newest, before, ok := split(items, GuardWindow, now)
	if !ok {
		return
	}
	for _, r := range guardRules() {
		ref := r.newestKnown(items, newest, before)
		last, most := -1, -1
		for _, i := range before { // newest first
			if !r.lost(items[i], items[ref]) {
				continue
			}
			if last < 0 {
				last = i
			}
			if r.higher(plan, i, most) {
				most = i
			}
		}
		for _, i := range []int{last, most} {
			if i >= 0 {
				plan[i].guard(r.reason)
				plan[ref].guard(reasonNewestKnown)
			}
		}
		r.keepFirstAfter(plan, newest, ref, len(before))
		r.keepPeak(plan, newest, ref, before)
	}
	keysRule().keepEarlierLosses(plan, newest, before)
}

// earlierLosses is how many losses are looked for before the newest snapshot. Each costs two snapshots, whatever comes and goes.
const earlierLosses = 2

// keepEarlierLosses keeps the last snapshot from before each of the latest losses that the newest one does not show any more: as many keys as
// before are not the same keys, if a new cluster has written its own after all were deleted. The snapshot that shows the loss stays with it,
// so that the next prune decides the same. before is ordered newest first.
func (r guardRule) keepEarlierLosses(plan []Decision, newest int, before []int) {
	if last := r.lastBefore(plan, before, r.newestKnown(itemsOf(plan), newest, before)); last >= 0 {
		before = before[slices.Index(before, last):]
	}
	for found := 0; found < earlierLosses; found++ {
		shows := slices.IndexFunc(before, func(j int) bool { return r.lastBefore(plan, before, j) >= 0 })
		if shows < 0 {
			return
		}
		last := r.lastBefore(plan, before, before[shows])
		plan[last].guard("from before the keys fell to less than half, earlier")
		plan[before[shows]].guard("shows that the keys fell to less than half, earlier")
		before = before[slices.Index(before, last):]
	}
}

// lastBefore returns the newest item of before that is older than item j and from before the loss that j shows; -1: j shows none.
func (r guardRule) lastBefore(plan []Decision, before []int, j int) int {
	for _, i := range before {
		if i > j && r.lost(plan[i].Item, plan[j].Item) {
			return i
		}
	}
	return -1
}

// reasonNewestKnown is for the snapshot that shows a loss while newer ones do not say whether it is over.
const reasonNewestKnown = "the newest of which the value is known"

// higher reports whether the value of item i is higher than that of item most; -1: none. One that the policy keeps does not count: the
// next prune might choose another one.
func (r guardRule) higher(plan []Decision, i, most int) bool {
	if plan[i].Keep && !plan[i].Guarded {
		return false
	}
	x, known := r.measure(plan[i].Item)
	if most < 0 {
		return known
	}
	y, _ := r.measure(plan[most].Item)
	return known && x > y
}

// keepPeak keeps the snapshot with the highest value of the last GuardWindow while the newest has less: keys that go slowly are no loss from
// one snapshot to the next, and when half of them are gone, a small policy would have removed all that had them. It costs one snapshot.
func (r guardRule) keepPeak(plan []Decision, newest, ref int, before []int) {
	if r.peak == "" {
		return
	}
	peak := -1
	now, _ := r.measure(plan[ref].Item)
	for _, i := range before {
		value, known := r.measure(plan[i].Item)
		fell := known && value >= r.least && now < value
		if fell && plan[newest].Time.Sub(plan[i].Time) <= GuardWindow && r.higher(plan, i, peak) {
			peak = i
		}
	}
	if peak >= 0 {
		plan[peak].guard(r.peak)
		plan[ref].guard(reasonNewestKnown)
	}
}

// keepFirstAfter keeps the first snapshot after the latest loss for which one from before is kept but the first one after would be
// removed. Of snapshots older than the window, only those kept by the policy count. ref is the one that shows the loss.
func (r guardRule) keepFirstAfter(plan []Decision, newest, ref, window int) {
	first := newest
	for i := newest + 1; i < len(plan); i++ {
		kept := plan[i].Keep && (i <= newest+window || !plan[i].Guarded)
		switch {
		case !r.lost(plan[i].Item, plan[ref].Item):
			first = i
		case kept && !plan[first].Keep:
			plan[first].guard("the first after the loss that the newest snapshot shows")
			plan[ref].guard(reasonNewestKnown)
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
