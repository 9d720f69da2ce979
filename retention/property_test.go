package retention_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/retention"
)

func keptItems(plan []retention.Decision) []retention.Item {
	var all []retention.Item
	for _, d := range plan {
		if d.Keep {
			all = append(all, d.Item)
		}
	}
	return all
}

func TestKeepAndRemovePartitionTheInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawItems(t), drawPolicy(t), drawNow(t)
		left := map[retention.Item]int{}
		for _, item := range in {
			left[item]++
		}
		plan := retention.Plan(in, p, now)
		for i, d := range plan {
			left[d.Item]--
			if len(d.Reasons) == 0 {
				t.Fatalf("no reason for %+v", d)
			}
			if i > 0 && d.Time.After(plan[i-1].Time) {
				t.Fatalf("%v comes after the older %v", d.Item, plan[i-1].Item)
			}
		}
		for item, n := range left {
			if n != 0 {
				t.Fatalf("%v is decided on %d times too few", item, n)
			}
		}
	})
}

func TestNewestAndFutureAreNeverRemoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, now := drawItems(t), drawNow(t)
		p := rapid.OneOf(rapid.Custom(drawPolicy), rapid.Just(retention.Policy{})).Draw(t, "policy")
		past := false
		for i, d := range retention.Plan(in, p, now) {
			newestOfPast := !past && !d.Time.After(now)
			past = past || newestOfPast
			if !d.Keep && (i == 0 || newestOfPast || !past) {
				t.Fatalf("removes %+v", d)
			}
		}
	})
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawItems(t), drawPolicy(t), drawNow(t)
		shuffled := rapid.Permutation(in).Draw(t, "shuffled")
		if a, b := retention.Plan(in, p, now), retention.Plan(shuffled, p, now); !reflect.DeepEqual(a, b) {
			t.Fatalf("plans differ:\n%v\n%v", a, b)
		}
	})
}

// What is kept stays kept, for the same reasons: the second prune of an evening removes nothing.
func TestPlanOfTheKeptIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawItems(t), drawPolicy(t), drawNow(t)
		first := retention.Plan(in, p, now)
		second := retention.Plan(keptItems(first), p, now)
		first = slices.DeleteFunc(first, func(d retention.Decision) bool { return !d.Keep })
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("first\n%v, then\n%v", first, second)
		}
	})
}

// Snapshots arrive one by one and each is followed by a prune, or not, as it happens. In the end the same ones are
// left as if the only prune had been the last: when and how often to prune is free.
func TestPruningOftenLeavesWhatPruningOnceDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p := drawItems(t), drawPolicy(t)
		slices.SortFunc(in, func(a, b retention.Item) int { return a.Time.Compare(b.Time) })
		in = slices.CompactFunc(in, func(a, b retention.Item) bool { return a.Time.Equal(b.Time) })

		var rolling []retention.Item
		for _, item := range in {
			rolling = append(rolling, item)
			if rapid.Bool().Draw(t, "prune") {
				rolling = keptItems(retention.Plan(rolling, p, item.Time))
			}
		}
		got, want := keptItems(retention.Plan(rolling, p, now)), keptItems(retention.Plan(in, p, now))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("rolling leaves\n%v, once leaves\n%v", got, want)
		}
	})
}

// A greater count, or a longer time, never removes more. The one exception is the policy that keeps nothing, which
// removes nothing: drawPolicy never draws it.
func TestKeepingMoreRemovesNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawItems(t), drawPolicy(t), drawNow(t)
		more := p
		switch by := rapid.IntRange(1, 5).Draw(t, "by"); rapid.IntRange(0, 5).Draw(t, "rule") {
		case 0:
			more.Last = raise(p.Last, by)
		case 1:
			more.Within += time.Duration(by) * time.Hour
		case 2:
			more.Hourly = raise(p.Hourly, by)
		case 3:
			more.Daily = raise(p.Daily, by)
		case 4:
			more.Weekly = raise(p.Weekly, by)
		case 5:
			more.Monthly = raise(p.Monthly, by)
		}
		withMore := keptItems(retention.Plan(in, more, now))
		for _, item := range keptItems(retention.Plan(in, p, now)) {
			if !slices.Contains(withMore, item) {
				t.Fatalf("%q keeps %v, %q does not", p, item, more)
			}
		}
	})
}

func raise(limit, by int) int {
	if limit == retention.Unlimited || by == 5 {
		return retention.Unlimited
	}
	return limit + by
}

func TestLastKeepsAtLeastItsCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawItems(t), drawPolicy(t), drawNow(t)
		p.Last = rapid.IntRange(1, 70).Draw(t, "last")
		if got, want := len(keptItems(retention.Plan(in, p, now))), min(p.Last, len(in)); got < want {
			t.Fatalf("keeps %d, want at least %d", got, want)
		}
	})
}
