package retention

import "time"

// SuccessionWindow is how long the snapshots from before a restore are protected. A restored cluster is a new one that goes on with the
// history of its predecessor, so the policy alone would replace that history soon: with --keep-last 3 and an hourly schedule within
// three hours, before anybody has found out whether the right snapshot was restored.
//
// For this long after the first snapshot of the present cluster, the policy is also applied to the snapshots of each predecessor alone,
// as if its newest one were the newest of all. After that they age out with the history that they belong to. The first snapshot of the
// present cluster shows when the restore was. It is kept for as long as a predecessor's snapshot is kept.
const SuccessionWindow = 30 * 24 * time.Hour

// succeed keeps the snapshots of predecessors. plan is ordered newest first, without items dated in the future.
func succeed(plan []Decision, p Policy) {
	first, earlier := -1, map[string][]int{}
	for i, d := range plan {
		if d.Predecessor == "" {
			first = i
		} else {
			earlier[d.Predecessor] = append(earlier[d.Predecessor], i)
		}
	}
	if first < 0 { // there is none of the present cluster yet, and the policy keeps what it kept before
		return
	}
	kept := false
	protected := plan[0].Time.Sub(plan[first].Time) < SuccessionWindow
	for _, theirs := range earlier {
		if protected {
			apart(plan, theirs, p, func(d *Decision, reason string) { d.keep("from before the restore: " + reason) })
		}
		for _, i := range theirs {
			kept = kept || plan[i].Keep
		}
	}
	if kept {
		plan[first].keep("the first after the restore")
	}
}

// apart applies the policy to some items of a plan alone, newest first, and calls keep for those that it keeps, with the first reason.
func apart(plan []Decision, some []int, p Policy, keep func(d *Decision, reason string)) {
	alone := make([]Decision, len(some))
	for n, i := range some {
		alone[n].Item = plan[i].Item
	}
	if len(alone) == 0 {
		return
	}
	for _, r := range p.rules() {
		r.apply(alone)
	}
	for n, i := range some {
		if alone[n].Keep {
			keep(&plan[i], alone[n].Reasons[0])
		}
	}
}
