package retention

import (
	"slices"
	"time"
)

const (
	reasonBeforeCorrupt = "from before etcd raised the alarm CORRUPT"
	reasonLastCorrupt   = "the last one with the alarm CORRUPT"
)

// guardCorrupt keeps the snapshots from before etcd raised the alarm CORRUPT: nobody knows yet what the later ones are worth, and etcd
// finds a corruption only some time after it happened. So of the earlier ones it keeps all that the policy would keep if nothing had
// been taken since. There is no limit of time while the alarm is up. Once snapshots come without the alarm, the last one with it is kept
// for [GuardWindow], and the earlier ones for as long.
//
// plan is ordered newest first.
func guardCorrupt(plan []Decision, p Policy, now time.Time) {
	newest := slices.IndexFunc(plan, func(d Decision) bool { return !d.Time.After(now) })
	last := slices.IndexFunc(plan, func(d Decision) bool { return d.Corrupt && !d.Time.After(now) })
	if last < 0 || plan[newest].Time.Sub(plan[last].Time) > GuardWindow {
		return
	}
	var before []int
	for i := last + 1; i < len(plan); i++ {
		if !plan[i].Corrupt {
			before = append(before, i)
		}
	}
	if len(before) == 0 {
		return
	}
	apart(plan, before, p, func(d *Decision, _ string) { d.guard(reasonBeforeCorrupt) })
	plan[last].guard(reasonLastCorrupt)
}
