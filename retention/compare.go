package retention

import (
	"cmp"
	"slices"
	"time"
)

// Comparison compares the newest item with those before it.
type Comparison struct {
	// Newest has the values of the newest item, each from the newest one of which it is known.
	Newest Item
	// RawSize is the largest database, InUse the most bytes in use and Revision the highest revision of those before; 0: not known, or there
	// is none. Keys is the most keys, if KeysKnown.
	RawSize, InUse, Revision int64
	Keys                     int64
	KeysKnown                bool
	// LossSince is the time of the first item after the loss; zero: no loss. Before is the ID of the last one from before it.
	LossSince time.Time
	Before    string
	// KeysBefore is the ID of the one to restore if keys were lost, see beforeKeysFell, and KeysSince the time of the item after it. If all
	// that had them are damaged, KeysBefore is "".
	KeysSince  time.Time
	KeysBefore string
}

// Shrank reports whether the newest database has less than half of the size of the largest one before.
func (c Comparison) Shrank() bool { return sizeRule().lost(c.most(), c.Newest) }

// InUseFell reports whether the newest database has less than half of the most bytes in use before.
func (c Comparison) InUseFell() bool { return inUseRule().lost(c.most(), c.Newest) }

// KeysFell reports whether the newest database has less than half of the most keys before.
func (c Comparison) KeysFell() bool { return keysRule().lost(c.most(), c.Newest) }

// RevisionFell reports whether the newest revision is lower than one before.
func (c Comparison) RevisionFell() bool { return revisionRule().lost(c.most(), c.Newest) }

// most has the highest values of those before.
func (c Comparison) most() Item {
	return Item{RawSize: c.RawSize, InUse: c.InUse, Revision: c.Revision, Keys: c.Keys, KeysKnown: c.KeysKnown}
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
		c.Newest = c.Newest.orOf(items[i])
	}
	for _, i := range before {
		x := items[i]
		c.RawSize, c.InUse, c.Revision = max(c.RawSize, x.RawSize), max(c.InUse, x.InUse), max(c.Revision, x.Revision)
		if x.KeysKnown {
			c.Keys, c.KeysKnown = max(c.Keys, x.Keys), true
		}
		lost := func(r guardRule) bool { return r.lost(x, c.Newest) }
		if c.Before == "" && slices.ContainsFunc(guardRules(), lost) {
			c.LossSince, c.Before = items[i-1].Time, x.ID
		}
	}
	if c.KeysFell() {
		c.beforeKeysFell(items, before)
	}
	return c, true
}

// beforeKeysFell chooses the item to restore. That is the last one from before the loss, but not if that one has less than half of the most keys
// itself: of keys that went in steps, it has only the rest. The guard protects both. before is ordered newest first.
func (c *Comparison) beforeKeysFell(items []Item, before []int) {
	r := keysRule()
	last, most := -1, -1
	for _, i := range before {
		x := items[i]
		switch {
		case !r.lost(x, c.Newest):
			continue
		case x.Damaged:
			if c.KeysSince.IsZero() {
				c.KeysSince = items[i-1].Time
			}
			continue
		case last < 0:
			last = i
		}
		if most < 0 || x.Keys > items[most].Keys {
			most = i
		}
	}
	if last < 0 {
		return
	}
	if r.lost(items[most], items[last]) {
		last = most
	}
	c.KeysSince, c.KeysBefore = items[last-1].Time, items[last].ID
}

// OrCopy returns x with what is known of another copy of the same snapshot, which may be intact.
func (x Item) OrCopy(y Item) Item {
	x.Damaged = x.Damaged && y.Damaged
	return x.orOf(y)
}

// orOf returns x with the values of y that are not known of x.
func (x Item) orOf(y Item) Item {
	x.RawSize, x.InUse, x.Revision = cmp.Or(x.RawSize, y.RawSize), cmp.Or(x.InUse, y.InUse), cmp.Or(x.Revision, y.Revision)
	if !x.KeysKnown {
		x.Keys, x.KeysKnown = y.Keys, y.KeysKnown
	}
	return x
}
