package retention_test

import (
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/retention"
)

// alarmed takes a snapshot an hour, prunes after each, and returns what is left of those from before the alarm.
func alarmed(p retention.Policy, hours int, corrupt func(hour int) bool) (left []string) {
	var there []retention.Item
	for i := range hours {
		at := now.Add(time.Duration(i) * time.Hour)
		there = append(there, retention.Item{ID: at.Format("01-02 15h"), Time: at, RawSize: 10, Revision: int64(i + 1), Corrupt: corrupt(i)})
		plan := retention.Plan(there, p, at)
		retention.Guard(plan, p, at)
		there = keptItems(plan)
	}
	for _, x := range there {
		if x.Time.Before(now.Add(10 * time.Hour)) {
			left = append(left, x.ID)
		}
	}
	return left
}

// The alarm is raised before the eleventh snapshot.
func TestSnapshotsFromBeforeTheAlarmCorruptStayWhileItIsUp(t *testing.T) {
	p := retention.Policy{Last: 3}
	want := alarmed(p, 10, func(int) bool { return false })
	for _, hours := range []int{11, 20, 24 * 40} {
		if got := alarmed(p, hours, func(h int) bool { return h >= 10 }); !slices.Equal(got, want) {
			t.Errorf("after %d hours %q are left, want %q", hours, got, want)
		}
	}
}

func TestSnapshotsFromBeforeTheAlarmCorruptStayForADayAfterIt(t *testing.T) {
	for hours, want := range map[int]int{14: 3, 36: 3, 37: 0} { // the alarm is up from hour 10 to 12
		got := alarmed(retention.Policy{Last: 3}, hours, func(h int) bool { return h >= 10 && h <= 12 })
		if len(got) != want {
			t.Errorf("after %d hours %q are left, want %d", hours, got, want)
		}
	}
}

// An alarm that comes and goes does not make the history grow without limit.
func TestAlarmCorruptThatComesAndGoesKeepsNoMoreThanThePolicyTwice(t *testing.T) {
	p := retention.Policy{Last: 3}
	var there []retention.Item
	for i := range 500 {
		at := now.Add(time.Duration(i) * time.Hour)
		there = append(there, retention.Item{ID: at.String(), Time: at, Corrupt: i%5 == 4})
		plan := retention.Plan(there, p, at)
		retention.Guard(plan, p, at)
		if there = keptItems(plan); len(there) > 2*p.Last+1 {
			t.Fatalf("%d are kept after %d hours", len(there), i)
		}
	}
}

func TestGuardSaysThatASnapshotIsFromBeforeTheAlarm(t *testing.T) {
	items := []retention.Item{sized(0, 10, 5), sized(time.Hour, 10, 5), sized(2*time.Hour, 10, 5)}
	items[0].Corrupt, items[1].Corrupt = true, true
	p := retention.Policy{Last: 1}
	plan := retention.Plan(items, p, now)
	retention.Guard(plan, p, now)
	if d := plan[2]; !d.Keep || !d.Guarded || !slices.Equal(d.Reasons, []string{"from before etcd raised the alarm CORRUPT"}) {
		t.Errorf("%+v", d)
	}
}
