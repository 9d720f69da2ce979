package metrics_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestAtOnce has the race detector look on while all is recorded and told at once.
func TestAtOnce(t *testing.T) {
	now := noon
	m := well(&now)
	x := taken(now, mib, 7)
	var all sync.WaitGroup
	for _, f := range []func(){
		func() { m.SnapshotDone(now, x, time.Second, time.Second) },
		func() { m.Failed(metrics.Mirror, now, "", metrics.Host, "m") },
		func() { m.Inventory(metrics.S3, history(now)) },
		func() { m.Pruned(metrics.Local, x.Name) },
		func() { m.Waiting([]metrics.Snapshot{x}); m.Uploaded(x, time.Second); m.MirrorDone(now, 1) },
		func() { m.Verified(now, x.Name, time.Second); m.Drilled(now, x.Name, time.Second) },
		func() { m.Damaged(metrics.Local, now, x.Name, "m"); m.MemberAway(now) },
		func() { m.Member(now, 1, false, []string{"NOSPACE"}); m.Schedule(metrics.Snapshots, now, time.Hour) },
		func() { get(t, m, "/metrics") },
		func() { get(t, m, "/readyz") },
		func() { get(t, m, "/") },
	} {
		all.Go(func() {
			for range 20 {
				f()
			}
		})
	}
	all.Wait()
	if _, body := get(t, m, "/metrics"); !strings.Contains(body, `runs_total{kind="snapshot",reason="none",result="success"} 21`) {
		t.Error("lost a count")
	}
}

// The limit of a scrape is 5 ms.
func BenchmarkScrape500(b *testing.B) {
	now := noon
	m := many(&now, 500)
	for b.Loop() {
		if status, _ := get(b, m, "/metrics"); status != 200 {
			b.Fatal(status)
		}
	}
}

func BenchmarkPage500(b *testing.B) {
	now := noon
	m := many(&now, 500)
	for b.Loop() {
		if status, _ := get(b, m, "/"); status != 200 {
			b.Fatal(status)
		}
	}
}

// TestScrapeIsQuick takes the best of some, for the machine has other things to do.
func TestScrapeIsQuick(t *testing.T) {
	now := noon
	m := many(&now, 500)
	best := time.Hour
	for range 20 {
		began := time.Now()
		get(t, m, "/metrics")
		best = min(best, time.Since(began))
	}
	if limit := 5 * time.Millisecond * slow; best > limit {
		t.Errorf("a scrape takes %s, more than %s", best, limit)
	}
}
