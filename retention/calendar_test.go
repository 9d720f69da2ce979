package retention_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"etcd-rolling-backup/retention"
)

func TestPeriodsAreThoseOfTheCalendarInUTC(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy retention.Policy
		items  []retention.Item
		want   []string
	}{
		{
			"an hour ends at :59:59",
			retention.Policy{Hourly: 2},
			items("2026-03-01T10:00:00Z", "2026-03-01T09:59:59Z", "2026-03-01T09:00:00Z", "2026-03-01T08:59:59Z"),
			[]string{"2026-03-01T10:00:00Z", "2026-03-01T09:59:59Z"},
		},
		{
			"a leap day is a day",
			retention.Policy{Daily: 3},
			items("2024-03-01T12:00:00Z", "2024-02-29T23:59:59Z", "2024-02-29T00:00:00Z", "2024-02-28T12:00:00Z", "2024-02-27T12:00:00Z"),
			[]string{"2024-03-01T12:00:00Z", "2024-02-29T23:59:59Z", "2024-02-28T12:00:00Z"},
		},
		{
			"a leap day belongs to February",
			retention.Policy{Monthly: 2},
			items("2024-03-01T00:00:00Z", "2024-02-29T23:59:59Z", "2024-02-28T12:00:00Z", "2024-01-31T12:00:00Z"),
			[]string{"2024-03-01T00:00:00Z", "2024-02-29T23:59:59Z"},
		},
		{ // Week 53 of 2020 runs from Monday 28 December to Sunday 3 January.
			"week 53 spans the turn of the year",
			retention.Policy{Weekly: 3},
			items("2021-01-04T00:00:00Z", "2021-01-03T23:59:59Z", "2020-12-31T12:00:00Z", "2020-12-28T00:00:00Z",
				"2020-12-27T23:59:59Z", "2020-12-20T12:00:00Z"),
			[]string{"2021-01-04T00:00:00Z", "2021-01-03T23:59:59Z", "2020-12-27T23:59:59Z"},
		},
		{
			"the same month of two years is two months",
			retention.Policy{Monthly: 2},
			items("2026-01-15T00:00:00Z", "2025-01-15T00:00:00Z", "2024-01-15T00:00:00Z"),
			[]string{"2026-01-15T00:00:00Z", "2025-01-15T00:00:00Z"},
		},
		{ // In UTC the first three fall on 1 February, 31 January and 31 January.
			"the zone of a time does not matter",
			retention.Policy{Daily: 2, Monthly: 2},
			items("2026-02-01T05:00:00+05:00", "2026-02-01T04:59:59+05:00", "2026-01-31T10:00:00-05:00", "2026-01-30T10:00:00Z"),
			[]string{"2026-02-01T05:00:00+05:00", "2026-02-01T04:59:59+05:00"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkKept(t, retention.Plan(tc.items, tc.policy, now), tc.want...)
		})
	}
}

// The periods, told by keep-daily and the like for two snapshots alone, are those of the calendar in package time.
func TestPeriodsAgreeWithTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTime(t).UTC(), drawTime(t).UTC()
		ayear, aweek := a.ISOWeek()
		byear, bweek := b.ISOWeek()
		for _, tc := range []struct {
			policy retention.Policy
			same   bool
		}{
			{retention.Policy{Hourly: 2}, a.Format("2006-01-02T15") == b.Format("2006-01-02T15")},
			{retention.Policy{Daily: 2}, a.Format("2006-01-02") == b.Format("2006-01-02")},
			{retention.Policy{Weekly: 2}, ayear == byear && aweek == bweek},
			{retention.Policy{Monthly: 2}, a.Format("2006-01") == b.Format("2006-01")},
		} {
			// A third, far older one takes the place of the oldest.
			in := []retention.Item{{ID: "a", Time: a}, {ID: "b", Time: b}, {ID: "old", Time: at("2001-01-01T00:00:00Z")}}
			kept := keptItems(retention.Plan(in, tc.policy, now))
			if same := !slices.Contains(kept, older(in[0], in[1])); same != tc.same {
				t.Fatalf("%q: %v and %v in one period: %t, want %t", tc.policy, a, b, same, tc.same)
			}
		}
	})
}

// older follows Plan: of equal times the lesser ID is the older.
func older(a, b retention.Item) retention.Item {
	if b.Time.Before(a.Time) {
		return b
	}
	return a
}
