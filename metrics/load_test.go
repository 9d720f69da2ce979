package metrics_test

import (
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

// TestRequestsDuringRunsAreAnswered has the race detector watch while everything is recorded and shown.
func TestRequestsDuringRunsAreAnswered(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	h := of(tr, &now).Handler()
	x := statustest.Taken(now, statustest.MiB, 7)
	var all sync.WaitGroup
	for _, f := range []func(){
		func() { tr.Saved(now, x, time.Second, time.Second) },
		func() { statustest.Fail(tr, status.Mirror, now, status.Host, "m") },
		func() { tr.SetInventory(status.S3, statustest.History(now), nil) },
		func() { tr.SetPending(now, statustest.Names([]status.Copy{x})); tr.Uploaded(x, time.Second) },
		func() { tr.SetMember(now, 1, false, []string{"NOSPACE"}) },
		func() { get(t, h, "/metrics") },
		func() { get(t, h, "/readyz") },
		func() { get(t, h, "/") },
	} {
		all.Go(func() {
			for range 20 {
				f()
			}
		})
	}
	all.Wait()
	for path, want := range map[string]int{"/metrics": 200, "/": 200, "/healthz": 200} {
		if code, body := get(t, h, path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// The limit of a scrape is 5 ms.
func BenchmarkScrape500(b *testing.B) {
	h := handler(func(now *time.Time) *status.Tracker { return statustest.Many(now, 500) })
	for b.Loop() {
		if code, _ := get(b, h, "/metrics"); code != 200 {
			b.Fatal(code)
		}
	}
}

// TestScrapeWorkGrowsWithTheSnapshots and not with their square. It counts allocations, which do not depend on the machine.
func TestScrapeWorkGrowsWithTheSnapshots(t *testing.T) {
	allocated := func(n int) float64 {
		h := handler(func(now *time.Time) *status.Tracker { return statustest.Many(now, n) })
		return testing.AllocsPerRun(5, func() { get(t, h, "/metrics") })
	}
	few, many := allocated(50), allocated(500)
	if many > 10*few {
		t.Errorf("%.0f allocations for 500 snapshots, %.0f for 50", many, few)
	}
}
