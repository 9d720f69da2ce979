package retention_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/retention"
)

// now lies after every item of these tests unless a test says otherwise.
var now = at("2030-01-01T00:00:00Z")

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// items makes one item for each time, named by the time.
func items(times ...string) []retention.Item {
	all := make([]retention.Item, len(times))
	for i, s := range times {
		all[i] = retention.Item{ID: s, Time: at(s)}
	}
	return all
}

// every makes n items, a step apart, the newest first.
func every(step time.Duration, newest string, n int) []retention.Item {
	all := make([]retention.Item, n)
	for i := range all {
		taken := at(newest).Add(-time.Duration(i) * step)
		all[i] = retention.Item{ID: taken.Format(time.RFC3339), Time: taken}
	}
	return all
}

func kept(plan []retention.Decision) []string {
	ids := []string{}
	for _, d := range plan {
		if d.Keep {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

func checkKept(t *testing.T, plan []retention.Decision, want ...string) {
	t.Helper()
	if got := kept(plan); !slices.Equal(got, want) {
		t.Errorf("kept\n%q, want\n%q", got, want)
	}
}

// One snapshot every Sunday for 12 weeks, of which keep-daily 4 keeps the last four Sundays: empty days use up no
// count. An example of restic's documentation.
func TestDailyCountsOnlyDaysWithSnapshots(t *testing.T) {
	sundays := every(7*24*time.Hour, "2019-11-17T11:00:00Z", 12)
	checkKept(t, retention.Plan(sundays, retention.Policy{Daily: 4}, now),
		"2019-11-17T11:00:00Z", "2019-11-10T11:00:00Z", "2019-11-03T11:00:00Z", "2019-10-27T11:00:00Z")
}

// One snapshot a day for years under keep-daily 7, keep-weekly 5, keep-monthly 12: seven days, of which one is a
// Sunday; four more Sundays; eleven more last days of a month. An example of restic's documentation.
func TestRulesAddUp(t *testing.T) {
	days := every(24*time.Hour, "2019-11-17T11:00:00Z", 3*365)
	plan := retention.Plan(days, retention.Policy{Daily: 7, Weekly: 5, Monthly: 12}, now)
	checkKept(t, plan,
		"2019-11-17T11:00:00Z", "2019-11-16T11:00:00Z", "2019-11-15T11:00:00Z", "2019-11-14T11:00:00Z",
		"2019-11-13T11:00:00Z", "2019-11-12T11:00:00Z", "2019-11-11T11:00:00Z",
		"2019-11-10T11:00:00Z", "2019-11-03T11:00:00Z", "2019-10-31T11:00:00Z", "2019-10-27T11:00:00Z",
		"2019-10-20T11:00:00Z", "2019-09-30T11:00:00Z", "2019-08-31T11:00:00Z", "2019-07-31T11:00:00Z",
		"2019-06-30T11:00:00Z", "2019-05-31T11:00:00Z", "2019-04-30T11:00:00Z", "2019-03-31T11:00:00Z",
		"2019-02-28T11:00:00Z", "2019-01-31T11:00:00Z", "2018-12-31T11:00:00Z")
	want := []string{"newest", "daily 1 of 7", "weekly 1 of 5", "monthly 1 of 12"}
	if !slices.Equal(plan[0].Reasons, want) {
		t.Errorf("reasons of the newest: %q, want %q", plan[0].Reasons, want)
	}
}

func TestOldestIsKeptWhileACountLasts(t *testing.T) {
	// Two days with two snapshots each.
	young := items("2026-05-02T18:00:00Z", "2026-05-02T06:00:00Z", "2026-05-01T18:00:00Z", "2026-05-01T06:00:00Z")

	plan := retention.Plan(young, retention.Policy{Daily: 3}, now)
	checkKept(t, plan, "2026-05-02T18:00:00Z", "2026-05-01T18:00:00Z", "2026-05-01T06:00:00Z")
	if got, want := plan[3].Reasons, []string{"oldest, daily 3 of 3"}; !slices.Equal(got, want) {
		t.Errorf("reasons of the oldest: %q, want %q", got, want)
	}
	checkKept(t, retention.Plan(young, retention.Policy{Daily: 2}, now),
		"2026-05-02T18:00:00Z", "2026-05-01T18:00:00Z")
	checkKept(t, retention.Plan(young, retention.Policy{Daily: retention.Unlimited}, now),
		"2026-05-02T18:00:00Z", "2026-05-01T18:00:00Z", "2026-05-01T06:00:00Z")
}

func TestUnlimitedKeepsAllOfItsKind(t *testing.T) {
	hours := every(time.Hour, "2026-05-02T12:00:00Z", 1000)
	if got := len(kept(retention.Plan(hours, retention.Policy{Last: retention.Unlimited}, now))); got != 1000 {
		t.Errorf("last unlimited keeps %d of 1000", got)
	}
	// From 2 May, 12:00, back to 21 March, 21:00: 43 days, and the oldest.
	if got := len(kept(retention.Plan(hours, retention.Policy{Daily: retention.Unlimited}, now))); got != 44 {
		t.Errorf("daily unlimited keeps %d, want 44", got)
	}
}

func TestWithinCountsBackFromTheNewest(t *testing.T) {
	// The backup stopped years before now. What it left behind does not age.
	hours := every(time.Hour, "2026-05-02T12:00:00Z", 10)
	plan := retention.Plan(hours, retention.Policy{Within: 3 * time.Hour}, now)
	checkKept(t, plan, "2026-05-02T12:00:00Z", "2026-05-02T11:00:00Z", "2026-05-02T10:00:00Z")
	if got, want := plan[2].Reasons, []string{"within 3h"}; !slices.Equal(got, want) {
		t.Errorf("reasons = %q, want %q", got, want)
	}
	if got, want := plan[3].Reasons, []string{"no rule keeps it"}; !slices.Equal(got, want) {
		t.Errorf("reasons = %q, want %q", got, want)
	}
}

func TestFutureIsKeptAndUsesUpNothing(t *testing.T) {
	hours := every(time.Hour, "2026-05-02T12:00:00Z", 6)
	plan := retention.Plan(hours, retention.Policy{Last: 2, Within: time.Hour}, at("2026-05-02T10:00:00Z"))
	checkKept(t, plan, "2026-05-02T12:00:00Z", "2026-05-02T11:00:00Z", "2026-05-02T10:00:00Z", "2026-05-02T09:00:00Z")
	for i, want := range [][]string{
		{"dated in the future"},
		{"dated in the future"},
		{"newest", "last 1 of 2", "within 1h"},
		{"last 2 of 2"},
		{"no rule keeps it"},
	} {
		if !slices.Equal(plan[i].Reasons, want) {
			t.Errorf("reasons of %s: %q, want %q", plan[i].ID, plan[i].Reasons, want)
		}
	}
}

// A clock that starts in 1970 makes every snapshot one of the future.
func TestClockOfThePastRemovesNothing(t *testing.T) {
	hours := every(time.Hour, "2026-05-02T12:00:00Z", 6)
	if got := len(kept(retention.Plan(hours, retention.Policy{Last: 1}, time.Unix(0, 0)))); got != 6 {
		t.Errorf("kept %d of 6", got)
	}
}

func TestPolicyThatIsRefusedRemovesNothing(t *testing.T) {
	hours := every(time.Hour, "2026-05-02T12:00:00Z", 6)
	for _, p := range []retention.Policy{{}, {Last: -2}, {Last: 1, Daily: -7}, {Last: 1, Within: -1}} {
		for _, d := range retention.Plan(hours, p, now) {
			if !d.Keep || !slices.Equal(d.Reasons, []string{"the policy is not valid"}) {
				t.Errorf("policy %+v: %+v", p, d)
			}
		}
	}
}

func TestEqualTimesAreOrderedByID(t *testing.T) {
	same := []retention.Item{{ID: "a", Time: now}, {ID: "c", Time: now}, {ID: "b", Time: now}}
	checkKept(t, retention.Plan(same, retention.Policy{Last: 2}, now), "c", "b")
}

func TestNothingIn(t *testing.T) {
	if plan := retention.Plan(nil, retention.Policy{Last: 1}, now); len(plan) != 0 {
		t.Errorf("Plan(nil) = %v", plan)
	}
}

func TestPlanLeavesItsInputAlone(t *testing.T) {
	in := items("2026-05-01T00:00:00Z", "2026-05-03T00:00:00Z", "2026-05-02T00:00:00Z")
	before := slices.Clone(in)
	retention.Plan(in, retention.Policy{Last: 1}, now)
	if !reflect.DeepEqual(in, before) {
		t.Errorf("items are now %v", in)
	}
}
