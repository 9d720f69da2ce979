package retention_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/retention"
)

// Times lie within about two years on a coarse grid, so that equal times, full periods and boundaries are common.
func drawTime(t *rapid.T) time.Time {
	base := at("2024-12-28T00:00:00Z")
	step := rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 12 * time.Hour, 24 * time.Hour}).Draw(t, "step")
	zone := time.FixedZone("", 3600*rapid.IntRange(-12, 14).Draw(t, "zone"))
	return base.Add(step * time.Duration(rapid.IntRange(0, 700).Draw(t, "steps"))).In(zone)
}

// drawItems leaves IDs unique but not in the order of time.
func drawItems(t *rapid.T) []retention.Item {
	n := rapid.SampledFrom([]int{0, 1, 2, 3, 10, 30, 60}).Draw(t, "n") // left alone, rapid draws about five
	times := rapid.SliceOfN(rapid.Custom(drawTime), n, n).Draw(t, "times")
	all := make([]retention.Item, len(times))
	for i, taken := range times {
		all[i] = retention.Item{ID: fmt.Sprintf("%02d", (i*37)%100), Time: taken}
	}
	return all
}

// drawPolicy draws one that Validate accepts. Most rules are off: too many together would keep everything.
func drawPolicy(t *rapid.T) retention.Policy {
	limit := rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 2, 3, 7, 12, retention.Unlimited})
	p := retention.Policy{
		Last:    limit.Draw(t, "last"),
		Within:  time.Hour * time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 24, 200, 5000}).Draw(t, "within hours")),
		Hourly:  limit.Draw(t, "hourly"),
		Daily:   limit.Draw(t, "daily"),
		Weekly:  limit.Draw(t, "weekly"),
		Monthly: limit.Draw(t, "monthly"),
	}
	if p.IsZero() {
		p.Last = 1
	}
	return p
}

// drawNow draws a moment that may leave items in the future.
func drawNow(t *rapid.T) time.Time {
	return rapid.OneOf(rapid.Just(now), rapid.Custom(drawTime)).Draw(t, "now")
}
