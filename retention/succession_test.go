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

// successive is an hourly history that changes its cluster each time that a count is reached, the latest last. Only the last one is the
// present cluster.
func successive(counts ...int) []retention.Item {
	var all []retention.Item
	for n, count := range counts {
		for range count {
			x := retention.Item{ID: fmt.Sprint(len(all)), Time: now.Add(time.Duration(len(all)) * time.Hour)}
			if n < len(counts)-1 {
				x.Predecessor = fmt.Sprint("cluster ", n)
			}
			all = append(all, x)
		}
	}
	return all
}

func keptIDs(plan []retention.Decision) []string {
	var out []string
	for _, d := range plan {
		if d.Keep {
			out = append(out, d.ID)
		}
	}
	return out
}

func TestHistoryFromBeforeARestoreOutlivesTheSuccessorsFirstSnapshots(t *testing.T) {
	all := successive(10, 20)
	got := keptIDs(retention.Plan(all, retention.Policy{Last: 3}, now.Add(29*time.Hour)))
	if want := []string{"29", "28", "27", "10", "9", "8", "7"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

func TestEachPredecessorIsProtected(t *testing.T) {
	all := successive(5, 5, 5)
	got := keptIDs(retention.Plan(all, retention.Policy{Last: 2}, now.Add(14*time.Hour)))
	if want := []string{"14", "13", "10", "9", "8", "4", "3"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// Hourly snapshots are pruned after each. The predecessor's are protected for 30 days after the restore, and then the policy decides.
func TestProtectionFromBeforeARestoreEndsAfter30Days(t *testing.T) {
	const restore = 48
	window := int(retention.SuccessionWindow / time.Hour)
	for name, p := range map[string]retention.Policy{"nothing of it is kept then": {Last: 3}, "monthly ones stay": {Last: 3, Monthly: 12}} {
		t.Run(name, func(t *testing.T) {
			var there []retention.Item
			for i := range restore + window + 100 {
				x := retention.Item{ID: fmt.Sprint(i), Time: now.Add(time.Duration(i) * time.Hour)}
				if i < restore {
					x.Predecessor = "before"
				}
				there = append(there, x)
				there = keptItems(retention.Plan(there, p, x.Time))
				earlier := 0
				for _, y := range there {
					if y.Predecessor != "" {
						earlier++
					}
				}
				switch since := i - restore; {
				case since >= 0 && since < window && earlier < 3:
					t.Fatalf("%d hours after the restore %d from before it are left", since, earlier)
				case since >= window && p.Monthly == 0 && (earlier > 0 || len(there) != 3):
					t.Fatalf("%d hours after the restore %d from before it are left, and %d in all", since, earlier, len(there))
				case since >= window && p.Monthly > 0 && (earlier == 0 || earlier > 2):
					t.Fatalf("%d hours after the restore %d from before it are left", since, earlier)
				}
			}
		})
	}
}

func TestPlanSaysThatASnapshotIsFromBeforeTheRestore(t *testing.T) {
	plan := retention.Plan(successive(3, 3), retention.Policy{Last: 1}, now.Add(5*time.Hour))
	for i, want := range map[int]string{2: "the first after the restore", 3: "from before the restore: last 1 of 1"} {
		if d := plan[i]; !d.Keep || !slices.Contains(d.Reasons, want) {
			t.Errorf("%+v, want the reason %q", d, want)
		}
	}
}

// drawLineage gives the older items to predecessors.
func drawLineage(t *rapid.T) []retention.Item {
	all := drawItems(t)
	slices.SortFunc(all, func(a, b retention.Item) int { return a.Time.Compare(b.Time) })
	first, second := rapid.IntRange(0, len(all)).Draw(t, "first"), rapid.IntRange(0, len(all)).Draw(t, "second")
	for i := range all {
		switch {
		case i < min(first, second):
			all[i].Predecessor = "first"
		case i < max(first, second):
			all[i].Predecessor = "second"
		}
		all[i].Corrupt = rapid.IntRange(0, 5).Draw(t, "corrupt") == 0
	}
	return all
}

func TestPruningALineageAgainRemovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawLineage(t), drawPolicy(t), drawNow(t)
		first := retention.Plan(in, p, now)
		retention.Guard(first, p, now)
		second := retention.Plan(keptItems(first), p, now)
		retention.Guard(second, p, now)
		if !reflect.DeepEqual(keptItems(second), keptItems(first)) {
			t.Fatalf("first kept\n%v\nthen\n%v", keptItems(first), keptItems(second))
		}
	})
}

func TestPredecessorsOnlyAddToWhatIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, p, now := drawLineage(t), drawPolicy(t), drawNow(t)
		alone := slices.Clone(in)
		for i := range alone {
			alone[i].Predecessor = ""
		}
		kept := keptIDs(retention.Plan(in, p, now))
		for _, id := range keptIDs(retention.Plan(alone, p, now)) {
			if !slices.Contains(kept, id) {
				t.Fatalf("%s is removed, though the policy keeps it", id)
			}
		}
	})
}
