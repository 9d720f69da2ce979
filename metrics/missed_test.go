package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestMissed: of snapshots every ten minutes the disk keeps one, and S3 is too slow for it: what it never gets is counted and told, and
// how far it is behind does not depend on what is there still.
func TestMissed(t *testing.T) {
	now := noon
	o := options(&now)
	o.Verify, o.Drill = false, false
	m := metrics.New(o)
	m.Schedule(metrics.Snapshots, now.Add(10*time.Minute), 10*time.Minute)
	m.Rebuilt()
	m.Inventory(metrics.S3, nil)
	clock := func(minutes time.Duration) string {
		return noon.Add(minutes * time.Minute).Format("2006-01-02 15:04:05 UTC")
	}
	var last metrics.Snapshot
	cycle := func() {
		now = now.Add(10 * time.Minute)
		x := taken(now, mib, 100)
		m.SnapshotDone(now, x, 0, 0)
		m.Pruned(metrics.Local, last.Name)
		m.Schedule(metrics.Snapshots, now.Add(10*time.Minute), 10*time.Minute)
		last = x
	}
	want := func(when, reason string, age, missed int) {
		t.Helper()
		_, reasons := m.Health(now)
		if all := strings.Join(reasons, "; "); reason == "" && all != "" || !strings.HasPrefix(all, reason) {
			t.Errorf("%s: %q, want %q", when, all, reason)
		}
		_, body := get(t, m, "/metrics")
		for _, line := range []string{fmt.Sprintf("waiting_oldest_age_seconds %d", age), fmt.Sprintf("unmirrored_total %d", missed)} {
			if !slices.Contains(ours(body), line) {
				t.Errorf("%s: no %s in\n%s", when, line, body)
			}
		}
	}
	cycle()
	want("the first waits", "", 0, 0)
	cycle()
	want("the first was pruned", "snapshots were pruned on the disk before S3 had them, the last at "+clock(20), 600, 1)
	cycle()
	want("the second was", "S3 is behind since "+clock(10)+", 1 snapshot waits for it", 1200, 2)
	m.Waiting([]metrics.Snapshot{last})
	want("S3 was listed, and still lacks", "S3 is behind since "+clock(10)+", 1 snapshot waits for it", 1200, 2)
	m.Uploaded(last, time.Second)
	want("the third is there", "snapshots were pruned", 0, 2)
	for range 2 {
		cycle()
		m.Uploaded(last, time.Second)
	}
	want("S3 keeps up", "", 0, 2)
	cycle()
	cycle()
	m.Attempt(metrics.Mirror, now.Add(time.Second)) // and so has seen all
	m.Waiting(nil)
	want("S3 was listed, and another brought it", "snapshots were pruned", 0, 3)
}

// TestEmptied: what lay on the disk before there was anything in the bucket waits since that was seen.
func TestEmptied(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	old := taken(now.Add(-48*time.Hour), mib, 1)
	m.Inventory(metrics.Local, []metrics.Snapshot{old})
	m.Schedule(metrics.Snapshots, now.Add(time.Hour), time.Hour)
	m.Rebuilt()
	for minute := range time.Duration(3) {
		m.Attempt(metrics.Mirror, noon.Add(minute*time.Minute))
		m.Inventory(metrics.S3, nil)
		m.Waiting([]metrics.Snapshot{old})
	}
	now = noon.Add(30 * time.Minute)
	if _, body := get(t, m, "/metrics"); !slices.Contains(ours(body), "waiting_oldest_age_seconds 1800") {
		t.Errorf("it has waited since another time:\n%s", body)
	}
}
