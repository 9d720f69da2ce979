package retention

// shrinkFactor is how many times smaller than an earlier one a database must be to count as shrunk. It is also the factor of keys and of
// bytes in use.
const shrinkFactor = 2

// Below these values a fall to less than half says nothing. The few keys of leader elections and locks come and go, and a database of some
// pages is halved by any compaction.
const (
	leastKeys  = 10
	leastInUse = 1 << 20
)

// guardRule is one kind of loss: a value that is lower in the newest snapshot than in an earlier one. Values are compared with values of
// the same kind only, and only where both are known.
//
// A false alarm is possible: a defragmentation halves the size of the file, and a compaction after many updates the bytes in use; in
// Kubernetes, a burst of events that expire halves the keys. It costs the space of some snapshots and a look at the cluster, and ends after
// GuardWindow, or when the value has come back.
type guardRule struct {
	reason string
	// measure returns the value to compare; false: not known.
	measure func(Item) (int64, bool)
	// factor times the newest value is less than a value from before the loss.
	factor int64
	// least is the lowest value that can be lost.
	least int64
	// peak is the reason to keep the snapshot with the highest value before there is a loss, see keepPeak; "": it is not kept.
	peak string
}

func sizeRule() guardRule {
	return guardRule{reason: "from before the database shrank to less than half", measure: notZero(func(x Item) int64 { return x.RawSize }), factor: shrinkFactor}
}

func inUseRule() guardRule {
	return guardRule{
		reason: "from before the bytes in use fell to less than half", measure: notZero(func(x Item) int64 { return x.InUse }),
		factor: shrinkFactor, least: leastInUse,
	}
}

func keysRule() guardRule {
	return guardRule{
		reason: "from before the keys fell to less than half", measure: func(x Item) (int64, bool) { return x.Keys, x.KeysKnown },
		factor: shrinkFactor, least: leastKeys, peak: "the most keys within a day",
	}
}

func revisionRule() guardRule {
	return guardRule{reason: "from before the revision fell", measure: notZero(func(x Item) int64 { return x.Revision }), factor: 1}
}

func guardRules() []guardRule {
	return []guardRule{sizeRule(), inUseRule(), keysRule(), revisionRule()}
}

func notZero(of func(Item) int64) func(Item) (int64, bool) {
	return func(x Item) (int64, bool) { return of(x), of(x) > 0 }
}

// lost reports whether newest has lost data that before still has.
func (r guardRule) lost(before, newest Item) bool {
	b, known := r.measure(before)
	n, also := r.measure(newest)
	return known && also && b >= r.least && r.factor*n < b
}

// newestKnown returns the index of the newest item whose value is known: if the newest one's is not, because its keys could not be counted
// or its manifest is damaged, a loss that the one before it shows is not over.
func (r guardRule) newestKnown(items []Item, newest int, before []int) int {
	for _, i := range append([]int{newest}, before...) {
		if _, known := r.measure(items[i]); known {
			return i
		}
	}
	return newest
}
