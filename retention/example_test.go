package retention_test

import (
	"fmt"
	"strings"
	"time"

	"etcd-rolling-backup/retention"
)

// A snapshot every eight hours; the two newest are kept, and one for each of the last three days.
func ExamplePlan() {
	midnight := time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)
	var items []retention.Item
	for hours := -48; hours <= 16; hours += 8 {
		taken := midnight.Add(time.Duration(hours) * time.Hour)
		items = append(items, retention.Item{ID: taken.Format("Jan 2 15:04"), Time: taken})
	}

	policy := retention.Policy{Last: 2, Daily: 3}
	fmt.Println("policy:", policy)
	for _, d := range retention.Plan(items, policy, midnight.Add(18*time.Hour)) {
		verb := "remove"
		if d.Keep {
			verb = "keep"
		}
		fmt.Printf("%-6s  %s  %s\n", verb, d.ID, strings.Join(d.Reasons, "; "))
	}
	// Output:
	// policy: last 2, daily 3
	// keep    Nov 21 16:00  newest; last 1 of 2; daily 1 of 3
	// keep    Nov 21 08:00  last 2 of 2
	// remove  Nov 21 00:00  no rule keeps it
	// keep    Nov 20 16:00  daily 2 of 3
	// remove  Nov 20 08:00  no rule keeps it
	// remove  Nov 20 00:00  no rule keeps it
	// keep    Nov 19 16:00  daily 3 of 3
	// remove  Nov 19 08:00  no rule keeps it
	// remove  Nov 19 00:00  no rule keeps it
}
