package retention_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/retention"
)

// sized is an item of the guard's tests, named by its age before now.
func sized(age time.Duration, raw, revision int64) retention.Item {
	return retention.Item{ID: age.String(), Time: now.Add(-age), RawSize: raw, Revision: revision}
}

const keptByGuard = " guarded"

// guarded applies a policy that keeps the last n, with the guard, and returns the IDs of what is kept, newest first.
func guarded(all []retention.Item, n int) []string {
	p := retention.Policy{Last: n}
	plan := retention.Plan(all, p, now)
	retention.Guard(plan, p, now)
	var out []string
	for _, d := range plan {
		switch {
		case d.Guarded:
			out = append(out, d.ID+keptByGuard)
		case d.Keep:
			out = append(out, d.ID)
		}
	}
	return out
}

func TestGuardKeepsWhatWasThereBeforeALoss(t *testing.T) {
	const h = time.Hour
	for name, c := range map[string]struct {
		items []retention.Item // the policy keeps the newest
		want  []string
	}{
		"nothing there":              {nil, nil},
		"a single snapshot":          {[]retention.Item{sized(0, 10, 5)}, []string{"0s"}},
		"the database grows":         {[]retention.Item{sized(0, 10, 5), sized(h, 9, 4), sized(2*h, 8, 3)}, []string{"0s"}},
		"exactly half is no loss":    {[]retention.Item{sized(0, 10, 5), sized(h, 20, 4)}, []string{"0s"}},
		"less than half is one":      {[]retention.Item{sized(0, 10, 5), sized(h, 21, 4), sized(2*h, 21, 3)}, []string{"0s", "1h0m0s guarded"}},
		"the revision stays":         {[]retention.Item{sized(0, 10, 5), sized(h, 10, 5)}, []string{"0s"}},
		"the revision falls":         {[]retention.Item{sized(0, 10, 5), sized(h, 10, 6), sized(2*h, 10, 5)}, []string{"0s", "1h0m0s guarded"}},
		"sizes that are not known":   {[]retention.Item{sized(0, 0, 0), sized(h, 90, 9)}, []string{"0s"}},
		"one of them is not known":   {[]retention.Item{sized(0, 10, 5), sized(h, 0, 0), sized(2*h, 90, 4)}, []string{"0s", "1h0m0s guarded", "2h0m0s guarded"}},
		"two small ones in between":  {[]retention.Item{sized(0, 10, 5), sized(h, 10, 4), sized(2*h, 11, 3), sized(3*h, 90, 2)}, []string{"0s", "2h0m0s guarded", "3h0m0s guarded"}},
		"the size has come back":     {[]retention.Item{sized(0, 90, 5), sized(h, 10, 4), sized(2*h, 95, 3)}, []string{"0s"}},
		"the largest of several":     {[]retention.Item{sized(0, 10, 9), sized(h, 40, 8), sized(2*h, 70, 7), sized(3*h, 99, 6), sized(4*h, 80, 5)}, []string{"0s", "1h0m0s guarded", "3h0m0s guarded"}},
		"of equal ones the newest":   {[]retention.Item{sized(0, 10, 9), sized(h, 40, 8), sized(2*h, 70, 7), sized(3*h, 70, 6)}, []string{"0s", "1h0m0s guarded", "2h0m0s guarded"}},
		"after a stop of days":       {[]retention.Item{sized(0, 10, 9), sized(70*h, 90, 8), sized(71*h, 95, 7)}, []string{"0s", "70h0m0s guarded"}},
		"the loss is a day old":      {[]retention.Item{sized(0, 10, 9), sized(24*h, 10, 8), sized(25*h, 90, 7)}, []string{"0s"}},
		"the loss is 23.5 hours old": {[]retention.Item{sized(0, 10, 9), sized(23*h+30*time.Minute, 10, 8), sized(25*h, 90, 7)}, []string{"0s", "23h30m0s guarded", "25h0m0s guarded"}},
		"a wrong clock does not hide the loss": {
			[]retention.Item{sized(-48*h, 90, 99), sized(0, 10, 5), sized(h, 90, 4)}, []string{"-48h0m0s", "0s", "1h0m0s guarded"},
		},
		"a large one of the future is no loss": {[]retention.Item{sized(-48*h, 90, 99), sized(0, 10, 5), sized(h, 9, 4)}, []string{"-48h0m0s", "0s"}},
		"both kinds at different times": {
			[]retention.Item{sized(0, 10, 5), sized(h, 10, 7), sized(2*h, 10, 6), sized(3*h, 90, 5), sized(4*h, 99, 4)},
			[]string{"0s", "1h0m0s guarded", "2h0m0s guarded", "3h0m0s guarded", "4h0m0s guarded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := guarded(c.items, 1); !slices.Equal(got, c.want) {
				t.Errorf("kept %q, want %q", got, c.want)
			}
		})
	}
}

func TestGuardSaysWhyItKeepsASnapshot(t *testing.T) {
	p := retention.Policy{Last: 1}
	plan := retention.Plan([]retention.Item{sized(0, 10, 5), sized(time.Hour, 10, 6), sized(2*time.Hour, 10, 4), sized(3*time.Hour, 90, 3)}, p, now)
	retention.Guard(plan, p, now)
	for i, want := range []string{
		"newest", "from before the revision fell", "the first after the loss that the newest snapshot shows", "from before the database shrank to less than half",
	} {
		if d := plan[i]; d.Reasons[0] != want || d.Guarded != (i > 0) {
			t.Errorf("%s: %+v, want %q", d.ID, d, want)
		}
	}
}

// TestGuardLeavesThePolicysReasons: what the policy keeps anyway is not guarded and keeps its reasons.
func TestGuardLeavesThePolicysReasons(t *testing.T) {
	all := []retention.Item{sized(0, 10, 5), sized(time.Hour, 90, 4), sized(2*time.Hour, 95, 3), sized(3*time.Hour, 92, 2), sized(4*time.Hour, 91, 1)}
	if got, want := guarded(all, 3), []string{"0s", "1h0m0s", "2h0m0s", "3h0m0s guarded"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// prunedAfterEach takes a snapshot each interval and prunes after each. look is called after that with what is kept.
func prunedAfterEach(interval time.Duration, sizes func(i int) int64, n int, p retention.Policy, look func(i int, kept []retention.Item)) {
	var there []retention.Item
	for i := range n {
		at := now.Add(time.Duration(i) * interval)
		there = append(there, retention.Item{ID: fmt.Sprint(i), Time: at, RawSize: sizes(i), Revision: int64(i + 1)})
		plan := retention.Plan(there, p, at)
		retention.Guard(plan, p, at)
		there = keptItems(plan)
		look(i, there)
	}
}

// TestGuardProtectsForADay: the database shrinks with the third snapshot, and the policy keeps one.
func TestGuardProtectsForADay(t *testing.T) {
	for _, interval := range []time.Duration{time.Minute, time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour} {
		t.Run(interval.String(), func(t *testing.T) {
			const loss = 2 // the index of the first small one
			steps := loss + int(48*time.Hour/interval)
			sizes := func(i int) int64 { return map[bool]int64{true: 100, false: 10}[i < loss] }
			protected := time.Duration(-1)
			prunedAfterEach(interval, sizes, steps, retention.Policy{Last: 1}, func(i int, kept []retention.Item) {
				large := slices.ContainsFunc(kept, func(x retention.Item) bool { return x.RawSize == 100 })
				since := time.Duration(i-loss) * interval
				if want := i < loss || since <= 23*time.Hour+30*time.Minute; large != want {
					t.Errorf("%s after the loss the large one is kept: %t, want %t", since, large, want)
				}
				if len(kept) > 3 {
					t.Errorf("%s after the loss %d are kept", since, len(kept))
				}
				if large {
					protected = max(protected, since)
				}
			})
			if protected < 0 || protected+interval <= 23*time.Hour+30*time.Minute {
				t.Errorf("protected for %s only", protected)
			}
		})
	}
}

// TestGuardProtectsThroughASecondLoss: from 100 to 40 to 10 within a day; what was there before either is kept.
func TestGuardProtectsThroughASecondLoss(t *testing.T) {
	sizes := func(i int) int64 {
		switch {
		case i < 3:
			return 100
		case i < 6:
			return 40
		}
		return 10
	}
	prunedAfterEach(time.Hour, sizes, 24, retention.Policy{Last: 1}, func(i int, kept []retention.Item) {
		has := func(size int64) bool {
			return slices.ContainsFunc(kept, func(x retention.Item) bool { return x.RawSize == size })
		}
		if i >= 6 && (!has(40) || !has(100)) {
			t.Errorf("after %d hours only %v are kept", i, kept)
		}
	})
}

// TestGuardKeepsAtMostThreeOfEachKind: of a database that shrinks with each snapshot.
func TestGuardKeepsAtMostThreeOfEachKind(t *testing.T) {
	sizes := func(i int) int64 { return int64(1) << (60 - i%60) }
	prunedAfterEach(10*time.Minute, sizes, 60, retention.Policy{Last: 1}, func(i int, kept []retention.Item) {
		if len(kept) > 1+3 {
			t.Errorf("after snapshot %d %d are kept", i, len(kept))
		}
	})
}

// TestGuardEndsThoughAWeeklySnapshotIsLarge: once all between are pruned, the time of the loss is still known, so that it is not taken for
// a new one.
func TestGuardEndsThoughAWeeklySnapshotIsLarge(t *testing.T) {
	const loss = 24 * 8
	sizes := func(i int) int64 { return map[bool]int64{true: 100, false: 10}[i < loss] }
	prunedAfterEach(time.Hour, sizes, loss+6*24, retention.Policy{Last: 12, Weekly: 4}, func(i int, kept []retention.Item) {
		c, ok := retention.Compare(kept, retention.GuardWindow, now.Add(time.Duration(i)*time.Hour))
		if want := i >= loss && i-loss <= 23; !ok || c.Shrank() != want {
			t.Errorf("%d h after the loss: shrank %t, since %s", i-loss, c.Shrank(), c.LossSince)
		}
		if guarded := len(kept) > 12+2+3; guarded {
			t.Errorf("%d h after the loss %d are kept", i-loss, len(kept))
		}
	})
}

// drawSized draws items with sizes and revisions that often fall, a minute to a day apart.
func drawSized(t *rapid.T) []retention.Item {
	all := drawItems(t)
	near := rapid.Bool().Draw(t, "near")
	for i := range all {
		if near { // or else hardly two are of one day
			all[i].Time = at("2025-03-01T00:00:00Z").Add(time.Duration(rapid.IntRange(0, 72*60).Draw(t, "minute")) * time.Minute)
		}
		all[i].RawSize = rapid.SampledFrom([]int64{0, 1, 2, 3, 7, 20, 50}).Draw(t, "raw size")
		all[i].Revision = rapid.Int64Range(0, 20).Draw(t, "revision")
		all[i].InUse = (1 << 20) * rapid.SampledFrom([]int64{0, 1, 2, 3, 7}).Draw(t, "MiB in use")
		if all[i].KeysKnown = rapid.IntRange(0, 3).Draw(t, "known") > 0; all[i].KeysKnown {
			all[i].Keys = rapid.SampledFrom([]int64{0, 9, 10, 19, 21, 22, 40, 43, 100}).Draw(t, "keys")
		}
	}
	return all
}

func TestGuardNeverRemovesAndTouchesNothingThatThePolicyKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawSized(t), drawPolicy(t), drawNow(t)
		plain, plan := retention.Plan(in, p, now), retention.Plan(in, p, now)
		retention.Guard(plan, p, now)
		extra := map[string]int{}
		for i, d := range plan {
			switch before := plain[i]; {
			case before.Keep && !reflect.DeepEqual(d, before):
				t.Fatalf("%+v became %+v", before, d)
			case d.Keep != before.Keep && (!d.Guarded || len(d.Reasons) == 0), !d.Keep && d.Guarded:
				t.Fatalf("%+v became %+v", before, d)
			case d.Guarded:
				extra[d.Reasons[0]]++
			}
		}
		n := 0
		for reason, count := range extra {
			n += count
			if count > 4 {
				t.Fatalf("%d are guarded because %s", count, reason)
			}
		}
		if n > 4*4+1+2*2 {
			t.Fatalf("%d are guarded", n)
		}
	})
}

// followedWithin returns the items, newest first, whose successor was taken within the window before the newest one.
func followedWithin(items []retention.Item, now time.Time) map[retention.Item]bool {
	within := map[retention.Item]bool{}
	newest := slices.IndexFunc(items, func(x retention.Item) bool { return !x.Time.After(now) })
	for i := newest + 1; newest >= 0 && i < len(items) && items[newest].Time.Sub(items[i-1].Time) <= retention.GuardWindow; i++ {
		within[items[i]] = true
	}
	return within
}

// TestGuardDecidesTheSameAgainOnWhatItKept: where the removed ones leave a snapshot with a successor within the window that was not its
// successor before, the guard may choose that one instead of another, which is as good.
func TestGuardDecidesTheSameAgainOnWhatItKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawSized(t), drawPolicy(t), drawNow(t)
		first := retention.Plan(in, p, now)
		var all []retention.Item
		for _, d := range first {
			all = append(all, d.Item)
		}
		retention.Guard(first, p, now)
		left := keptItems(first)
		before := followedWithin(all, now)
		for x := range followedWithin(left, now) {
			if !before[x] {
				t.Skip("the window has one more")
			}
		}
		second := retention.Plan(left, p, now)
		retention.Guard(second, p, now)
		if again := keptItems(second); !reflect.DeepEqual(again, left) {
			t.Fatalf("first kept\n%v\nthen\n%v", left, again)
		}
	})
}

// TestGuardDoesNotTradeForOneThatThePolicyKeeps: 26h is larger than what the guard keeps, and 25h is the first after what was lost then.
func TestGuardDoesNotTradeForOneThatThePolicyKeeps(t *testing.T) {
	const h = time.Hour
	left := []retention.Item{sized(0, 10, 9), sized(h, 10, 8), sized(2*h, 40, 7), sized(23*h, 90, 6), sized(25*h, 12, 5), sized(26*h, 99, 4)}
	for range 2 {
		p := retention.Policy{Last: 1, Monthly: 12}
		plan := retention.Plan(left, p, now)
		retention.Guard(plan, p, now)
		left = keptItems(plan)
		checkKept(t, plan, "0s", "1h0m0s", "2h0m0s", "23h0m0s", "25h0m0s", "26h0m0s")
	}
}

// keysOf is prunedAfterEach for keys; below 0: not known.
func keysOf(interval time.Duration, keys func(i int) int64, n, last int, look func(i int, kept []retention.Item)) {
	var there []retention.Item
	p := retention.Policy{Last: last}
	for i := range n {
		at := now.Add(time.Duration(i) * interval)
		k := keys(i)
		there = append(there, retention.Item{ID: fmt.Sprint(i), Time: at, RawSize: 1, Revision: int64(i + 1), Keys: max(k, 0), KeysKnown: k >= 0})
		plan := retention.Plan(there, p, at)
		retention.Guard(plan, p, at)
		there = keptItems(plan)
		look(i, there)
	}
}

func hasKeys(kept []retention.Item, keys int64) bool {
	return slices.ContainsFunc(kept, func(x retention.Item) bool { return x.KeysKnown && x.Keys == keys })
}

// TestGuardKeepsWhatHadTheKeysForADay: all keys are deleted after the third snapshot; in the worst case no later one but the first is counted.
func TestGuardKeepsWhatHadTheKeysForADay(t *testing.T) {
	for _, interval := range []time.Duration{time.Minute, time.Hour, 6 * time.Hour} {
		for name, later := range map[string]int64{"counted": 0, "not counted any more": -1} {
			t.Run(fmt.Sprint(interval, ", ", name), func(t *testing.T) {
				keys := func(i int) int64 { return map[bool]int64{i < 3: 100, i == 3: 0, i > 3: later}[true] }
				keysOf(interval, keys, 3+int(48*time.Hour/interval), 3, func(i int, kept []retention.Item) {
					since := time.Duration(i-3) * interval
					switch has := hasKeys(kept, 100); {
					case since <= 23*time.Hour && !has:
						t.Errorf("%s after the loss: kept %v", since, kept)
					case since > 23*time.Hour+30*time.Minute+3*interval && has: // the policy keeps the last three
						t.Errorf("%s after the loss the guard has not ended: kept %v", since, kept)
					}
					if len(kept) > 3+3 {
						t.Errorf("%s after the loss %d are kept", since, len(kept))
					}
				})
			})
		}
	}
}

// TestGuardKeepsWhatHadTheKeysOfASlowFall: from 1000 to 400 in steps of 1 %, of which the policy keeps one snapshot. None of them shows a loss
// in comparison with the one before.
func TestGuardKeepsWhatHadTheKeysOfASlowFall(t *testing.T) {
	most := int64(0)
	keys := func(i int) int64 { return max(1000-10*int64(max(i-2, 0)), 400) }
	keysOf(10*time.Minute, keys, 24*6, 1, func(i int, kept []retention.Item) {
		most = 0
		for _, x := range kept {
			most = max(most, x.Keys)
		}
		if i > 80 && most < 940 {
			t.Fatalf("after %d snapshots the most keys kept are %d: %v", i, most, kept)
		}
		if len(kept) > 1+4 {
			t.Fatalf("after %d snapshots %d are kept", i, len(kept))
		}
	})
}

// TestGuardOutlivesKeysThatOthersReplace: all keys are deleted, and an hour or three later as many other ones, or more, are there. For a day,
// that releases nothing; then only the policy counts.
func TestGuardOutlivesKeysThatOthersReplace(t *testing.T) {
	for _, refilled := range []int64{60, 101, 5000} {
		for _, empty := range []int{1, 3} {
			keys := func(i int) int64 {
				return map[bool]int64{i < 3: 100, i >= 3 && i < 3+empty: 0, i >= 3+empty: refilled}[true]
			}
			keysOf(time.Hour, keys, 60, 2, func(i int, kept []retention.Item) {
				if i <= 3+23 && !hasKeys(kept, 100) {
					t.Errorf("%d keys, at hour %d: kept %v", refilled, i, kept)
				}
				if len(kept) > 2+4 || i > 3+empty+24 && len(kept) > 2 {
					t.Errorf("%d keys, at hour %d: kept %v", refilled, i, kept)
				}
			})
		}
	}
}

// TestGuardKeepsWhatCameBeforeEachOfTwoLosses: 100 keys are deleted, 120 others are there, and these are deleted too.
func TestGuardKeepsWhatCameBeforeEachOfTwoLosses(t *testing.T) {
	keys := func(i int) int64 { return map[bool]int64{i < 3: 100, i >= 6 && i < 9: 120}[true] }
	keysOf(time.Hour, keys, 26, 1, func(i int, kept []retention.Item) {
		if !hasKeys(kept, 100) || i >= 6 && !hasKeys(kept, 120) {
			t.Errorf("at hour %d: kept %v", i, kept)
		}
	})
}

// TestGuardKeepsFewWhileKeysFallAgainAndAgain: as with bursts of events, which are keys too.
func TestGuardKeepsFewWhileKeysFallAgainAndAgain(t *testing.T) {
	keysOf(10*time.Minute, func(i int) int64 { return []int64{1000, 4000, 9000, 3000}[i%4] }, 6*72, 2, func(i int, kept []retention.Item) {
		if len(kept) > 2+2*3+1 {
			t.Errorf("%d: kept %v", i, kept)
		}
	})
}

// TestGuardKeepsOneMoreWhileKeysComeAndGo: the one with the most keys of a day. The few keys of locks do not count.
func TestGuardKeepsOneMoreWhileKeysComeAndGo(t *testing.T) {
	for values, more := range map[[2]int64]int{{1000, 950}: 1, {9, 0}: 0} {
		keysOf(time.Hour, func(i int) int64 { return values[i%2] }, 72, 2, func(i int, kept []retention.Item) {
			if len(kept) > 2+more {
				t.Errorf("%d: kept %v", i, kept)
			}
		})
	}
}
