package metrics_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestRestartCountsNothing rebuilds a state from old times: the times are there, the counters at zero.
func TestRestartCountsNothing(t *testing.T) {
	now := noon
	list := history(now)
	m := metrics.New(options(&now))
	if ok, reasons := m.Health(now); ok || reasons[0] != "what the disk and the bucket hold is not known yet" {
		t.Errorf("before the rebuilding: %v %v", ok, reasons)
	}
	for _, x := range list { // newest first: the order is not to matter
		m.Attempt(metrics.Snapshots, x.Time)
		m.SnapshotDone(x.Time, x, time.Second, time.Second)
		m.Uploaded(x, time.Second)
		m.MirrorDone(x.Time, 0)
		m.Verified(x.Time, x.Name, time.Second)
		m.Drilled(x.Time, x.Name, time.Second)
	}
	m.Inventory(metrics.Local, list)
	m.Inventory(metrics.S3, list[1:])
	m.Waiting(list[:1])
	m.Pruned(metrics.Local, list[33].Name)
	m.Schedule(metrics.Snapshots, list[0].Time.Add(time.Hour), time.Hour)
	m.Rebuilt()
	if ok, reasons := m.Health(now); !ok {
		t.Error(reasons)
	}
	_, body := get(t, m, "/metrics")
	for _, l := range nonzero(ours(body)) {
		if strings.Contains(l, "_total") || strings.Contains(l, "_count") {
			t.Errorf("counted before the start: %s", l)
		}
	}
	for _, want := range []string{
		`last_success_timestamp_seconds{kind="snapshot"} 1.7953488e+09`, `last_attempt_timestamp_seconds{kind="snapshot"} 1.7953488e+09`,
		`last_success_timestamp_seconds{kind="mirror"} 1.7953488e+09`, `in_progress{kind="snapshot"} 0`, `waiting_snapshots 1`,
		`snapshots{place="local"} 33`, `waiting_oldest_age_seconds 750`, `drill_passed 1`,
	} {
		if !slices.Contains(ours(body), want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}

// TestOldNewsInAnyOrder: before Rebuilt the newest counts, in whatever order they are told.
func TestOldNewsInAnyOrder(t *testing.T) {
	now := noon
	x := taken(now.Add(-3*time.Hour), mib, 1)
	at := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	m := metrics.New(metrics.Options{Verify: true, Drill: true, Now: func() time.Time { return now }})
	m.Failed(metrics.Drill, at(1), x.Name, metrics.Start, "newer")
	m.Drilled(at(2), x.Name, time.Second)
	m.Verified(at(1), x.Name, time.Second)
	m.Failed(metrics.Verify, at(2), x.Name, metrics.Damaged, "older")
	m.SnapshotDone(x.Time, x, 0, 0)
	m.SnapshotDone(x.Time.Add(-time.Hour), taken(x.Time.Add(-time.Hour), mib, 1), 0, 0)
	m.Rebuilt()
	if _, reasons := m.Health(now); len(reasons) != 1 || reasons[0] != "restore drill of "+x.Name+" failed: newer" {
		t.Errorf("%q", reasons)
	}
	if _, body := get(t, m, "/metrics"); !strings.Contains(body, `last_success_timestamp_seconds{kind="snapshot"} 1.79533875e+09`) {
		t.Error("the last success is not the newest")
	}
}

// TestFailuresBeforeTheStart: they stand there with their number and their last error, and what was due is still due.
func TestFailuresBeforeTheStart(t *testing.T) {
	now := noon
	x := taken(now.Add(-3*time.Hour), mib, 1)
	for name, c := range map[string]struct {
		at   time.Time
		want []string
	}{
		"after the newest": {now.Add(-time.Minute), []string{
			"no snapshot since the one due at 2026-11-22 10:12:30 UTC, 2 h late",
			"7 snapshots failed in a row, the last at 2026-11-22 12:11:30 UTC: etcd is down",
		}},
		"before it": {x.Time.Add(-time.Minute), []string{"no snapshot since the one due at 2026-11-22 10:12:30 UTC, 2 h late"}},
	} {
		m := metrics.New(metrics.Options{Now: func() time.Time { return now }})
		m.Inventory(metrics.Local, []metrics.Snapshot{x})
		m.SnapshotDone(x.Time, x, 0, 0)
		m.Failed(metrics.Snapshots, c.at, "", metrics.Unreachable, "etcd is down")
		m.Failing(metrics.Snapshots, 7)
		m.Schedule(metrics.Snapshots, x.Time.Add(time.Hour), time.Hour)
		m.Rebuilt()
		if _, reasons := m.Health(now); !slices.Equal(reasons, c.want) {
			t.Errorf("%s: %q, want %q", name, reasons, c.want)
		}
	}
}

// TestRecalled: S3's past becomes known after Rebuilt. It is told without being counted, and never over a success of this process.
func TestRecalled(t *testing.T) {
	now := noon
	m := metrics.New(metrics.Options{Mirror: true, Now: func() time.Time { return now }})
	m.Rebuilt()
	const success = `last_success_timestamp_seconds{kind="mirror"} `
	want := func(line string) {
		t.Helper()
		_, body := get(t, m, "/metrics")
		if !slices.Contains(ours(body), success+line) {
			t.Errorf("the scrape lacks %s%s", success, line)
		}
		for _, l := range nonzero(ours(body)) {
			if strings.HasPrefix(l, "runs_total") && line != "1.7953494e+09" {
				t.Errorf("counted: %s", l)
			}
		}
	}
	want("0")
	m.Attempt(metrics.Mirror, now)
	m.Recalled(metrics.Mirror, time.Unix(1795340000, 0))
	want("1.79534e+09")
	m.Recalled(metrics.Mirror, time.Unix(1795341000, 0))
	want("1.79534e+09")
	m.MirrorDone(time.Unix(1795349400, 0), 0)
	m.Recalled(metrics.Mirror, time.Unix(1795340000, 0))
	want("1.7953494e+09")
}
