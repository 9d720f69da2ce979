package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestHealth plays a story up to a moment and asks how all is. Each begins with a snapshot at 12:00:00, in S3 at once, the
// next due at 13:00:00, unless it says otherwise; want is what stands in the only reason, or "" for none.
func TestHealth(t *testing.T) {
	hour := noon.Truncate(time.Hour)
	after := func(d time.Duration) time.Time { return hour.Add(d) }
	x := taken(hour, mib, 100)
	failedRuns := func(m *metrics.Metrics, k metrics.Kind, n int, message string) {
		for i := range n {
			at := after(time.Hour + time.Duration(i)*time.Second)
			m.Attempt(k, at)
			m.Failed(k, at, "", metrics.Unreachable, message)
		}
	}
	for name, c := range map[string]struct {
		story func(m *metrics.Metrics)
		now   time.Time
		want  string
	}{
		"nothing has happened": {func(*metrics.Metrics) {}, after(time.Minute), ""},
		"next run due now":     {func(*metrics.Metrics) {}, after(time.Hour), ""},
		"late, within grace":   {func(*metrics.Metrics) {}, after(time.Hour + 30*time.Minute), ""},
		"late":                 {func(*metrics.Metrics) {}, after(time.Hour + 31*time.Minute), "no snapshot since the one due at 2026-11-22 13:00:00 UTC, 31 min late"},
		"late, schedule of seconds": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Snapshots, after(2*time.Second), 2*time.Second)
		}, after(2*time.Minute + 2*time.Second), ""},
		"late after two minutes, schedule of seconds": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Snapshots, after(2*time.Second), 2*time.Second)
		}, after(2*time.Minute + 3*time.Second), "no snapshot since"},
		"late after half an hour, daily schedule": {func(m *metrics.Metrics) {
			m.Skipped(metrics.Snapshots, after(time.Minute), metrics.Role)
			m.Schedule(metrics.Snapshots, after(24*time.Hour), 24*time.Hour)
		}, after(24*time.Hour + 31*time.Minute), "no snapshot since"},
		"under way, longer than the grace": {func(m *metrics.Metrics) {
			m.Attempt(metrics.Snapshots, after(time.Hour))
		}, after(time.Hour + 59*time.Minute), ""},
		"under way, longer than the interval": {func(m *metrics.Metrics) {
			m.Attempt(metrics.Snapshots, after(time.Hour))
		}, after(2*time.Hour + time.Minute), "the snapshot due at 2026-11-22 13:00:00 UTC is under way since 2026-11-22 13:00:00 UTC and not done"},
		"done at last, next not told yet": {func(m *metrics.Metrics) {
			m.Attempt(metrics.Snapshots, after(time.Hour))
			m.SnapshotDone(after(3*time.Hour), taken(after(time.Hour), mib, 101), time.Second, time.Second)
		}, after(3 * time.Hour), ""},
		"two failures": {func(m *metrics.Metrics) { failedRuns(m, metrics.Snapshots, 2, "m") }, after(time.Hour + time.Minute), ""},
		"three failures": {func(m *metrics.Metrics) {
			failedRuns(m, metrics.Snapshots, 3, "first\nsecond")
		}, after(time.Hour + time.Minute), "3 snapshots failed in a row, the last at 2026-11-22 13:00:02 UTC: first; second"},
		"trying again does not move what was due": {func(m *metrics.Metrics) {
			failedRuns(m, metrics.Snapshots, 2, "m")
			m.Schedule(metrics.Snapshots, after(95*time.Minute), time.Hour)
		}, after(91 * time.Minute), "no snapshot since the one due at 2026-11-22 13:00:00 UTC"},
		"mended": {func(m *metrics.Metrics) {
			failedRuns(m, metrics.Snapshots, 5, "m")
			m.SnapshotDone(after(61*time.Minute), taken(after(time.Hour), mib, 101), 0, 0)
			m.Schedule(metrics.Snapshots, after(2*time.Hour), time.Hour)
		}, after(62 * time.Minute), ""},
		"left to another member": {func(m *metrics.Metrics) {
			m.Attempt(metrics.Snapshots, after(time.Hour))
			m.Skipped(metrics.Snapshots, after(time.Hour), metrics.Role)
			m.Schedule(metrics.Snapshots, after(2*time.Hour), time.Hour)
		}, after(2*time.Hour + time.Minute), ""},
		"all snapshots are gone": {func(m *metrics.Metrics) {
			m.SnapshotDone(after(0), x, 0, 0)
			for _, p := range []metrics.Place{metrics.Local, metrics.S3} {
				m.Inventory(p, nil)
			}
		}, after(time.Minute), "there is no snapshot on the disk any more"},
		"started five times within an hour": {func(m *metrics.Metrics) {
			m.Started(after(-time.Hour), after(1*time.Minute), after(2*time.Minute), after(3*time.Minute), after(4*time.Minute), after(5*time.Minute))
		}, after(5 * time.Minute), ""},
		"a crash loop": {func(m *metrics.Metrics) {
			m.Started(after(0), after(1*time.Minute), after(2*time.Minute), after(3*time.Minute), after(4*time.Minute), after(5*time.Minute))
		}, after(5 * time.Minute), "the daemon was started 6 times within an hour, the last at 2026-11-22 12:05:00 UTC"},
		"a crash loop that has ended": {func(m *metrics.Metrics) {
			m.Started(after(0), after(1*time.Minute), after(2*time.Minute), after(3*time.Minute), after(4*time.Minute), after(5*time.Minute))
		}, after(time.Hour), ""},
		"clock set back": {func(m *metrics.Metrics) { m.Schedule(metrics.Snapshots, after(-2*time.Hour), time.Hour) }, after(-2 * time.Hour), "there is no snapshot on the disk yet"},

		"waiting within interval and grace": {func(m *metrics.Metrics) { m.Waiting([]metrics.Snapshot{x}) }, after(90 * time.Minute), ""},
		"waiting for longer": {func(m *metrics.Metrics) {
			m.Waiting([]metrics.Snapshot{x})
			m.Skipped(metrics.Snapshots, after(time.Hour), metrics.Role) // so that no other is due
			m.Schedule(metrics.Snapshots, after(3*time.Hour), time.Hour)
		}, after(91 * time.Minute), "S3 is behind since 2026-11-22 12:00:00 UTC, 1 snapshot waits for it"},
		"waiting, pruned meanwhile": {func(m *metrics.Metrics) {
			m.Waiting([]metrics.Snapshot{x})
			m.Pruned(metrics.Local, x.Name)
			m.Skipped(metrics.Snapshots, after(time.Hour), metrics.Role) // so that no other is due
			m.Schedule(metrics.Snapshots, after(3*time.Hour), time.Hour)
		}, after(91 * time.Minute), "S3 is behind since 2026-11-22 12:00:00 UTC"},
		"mirror failed twice":       {func(m *metrics.Metrics) { failedRuns(m, metrics.Mirror, 2, "m") }, after(time.Hour), ""},
		"mirror failed three times": {func(m *metrics.Metrics) { failedRuns(m, metrics.Mirror, 3, "") }, after(time.Hour), "mirroring failed 3 times in a row, the last at 2026-11-22 13:00:02 UTC: other"},

		"drill failed": {func(m *metrics.Metrics) {
			m.Failed(metrics.Drill, after(time.Minute), x.Name, metrics.Contents, "3 keys are missing")
		}, after(time.Minute), "restore drill of " + x.Name + " failed: 3 keys are missing"},
		"drill failed and was then skipped": {func(m *metrics.Metrics) {
			m.Failed(metrics.Drill, after(time.Minute), x.Name, metrics.Contents, "m")
			m.Skipped(metrics.Drill, after(2*time.Minute), metrics.LowSpace)
		}, after(3 * time.Minute), "restore drill of"},
		"drill skipped": {func(m *metrics.Metrics) { m.Skipped(metrics.Drill, after(time.Minute), metrics.LowSpace) }, after(2 * time.Minute), ""},
		"drill failed and then passed": {func(m *metrics.Metrics) {
			m.Failed(metrics.Drill, after(time.Minute), x.Name, metrics.Contents, "m")
			m.Drilled(after(2*time.Minute), x.Name, time.Second)
		}, after(3 * time.Minute), ""},
		"drill late, within grace": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Drill, after(-24*time.Hour), 7*24*time.Hour)
		}, after(0), ""},
		"weekly drill late by a day": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Drill, after(-24*time.Hour), 7*24*time.Hour)
			m.Schedule(metrics.Drill, after(2*time.Hour), 7*24*time.Hour) // the next try
		}, after(time.Minute), "no restore drill has passed since the one due at 2026-11-21 12:00:00 UTC, 24 h late"},
		"drills in want of space are late": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Drill, after(-3*time.Hour), time.Hour)
			m.Skipped(metrics.Drill, after(0), metrics.LowSpace)
			m.Schedule(metrics.Drill, after(time.Hour), time.Hour)
		}, after(time.Minute), "no restore drill has passed since the one due at 2026-11-22 09:00:00 UTC, 3 h late"},
		"nothing there to drill": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Drill, after(-3*time.Hour), time.Hour)
			m.Skipped(metrics.Drill, after(0), metrics.NoSnapshot)
			m.Schedule(metrics.Drill, after(time.Hour), time.Hour)
		}, after(time.Minute), ""},
		"drilled at last": {func(m *metrics.Metrics) {
			m.Schedule(metrics.Drill, after(-72*time.Hour), time.Hour)
			m.Drilled(after(time.Minute), x.Name, time.Second)
			m.Schedule(metrics.Drill, after(time.Hour), time.Hour)
		}, after(time.Minute), ""},

		"damage was found": {func(m *metrics.Metrics) {
			m.Failed(metrics.Verify, after(time.Minute), x.Name, metrics.Damaged, "m")
		}, after(time.Minute), "damage was found in " + x.Name},
		"damage is not mended by another's verification": {func(m *metrics.Metrics) {
			m.Failed(metrics.Verify, after(time.Minute), x.Name, metrics.Damaged, "m")
			m.Verified(after(2*time.Minute), taken(after(-time.Hour), mib, 99).Name, time.Second)
		}, after(3 * time.Minute), "damage was found in " + x.Name},
		"the damaged one is gone": {func(m *metrics.Metrics) {
			m.Failed(metrics.Verify, after(time.Minute), x.Name, metrics.Damaged, "m")
			m.Pruned(metrics.Local, x.Name)
			m.Pruned(metrics.S3, x.Name)
			m.Verified(after(2*time.Minute), taken(after(-time.Hour), mib, 99).Name, time.Second)
		}, after(3 * time.Minute), ""},
		"the damaged copy is gone, the one in S3 is not": {func(m *metrics.Metrics) {
			m.Failed(metrics.Verify, after(time.Minute), x.Name, metrics.Damaged, "m")
			m.Pruned(metrics.Local, x.Name)
			m.Verified(after(2*time.Minute), taken(after(-time.Hour), mib, 99).Name, time.Second)
		}, after(3 * time.Minute), ""},
		"the damaged copy stays, the one in S3 is gone": {func(m *metrics.Metrics) {
			m.Failed(metrics.Verify, after(time.Minute), x.Name, metrics.Damaged, "m")
			m.Pruned(metrics.S3, x.Name)
		}, after(3 * time.Minute), "damage was found in " + x.Name},
		"a directory that can't be read": {func(m *metrics.Metrics) {
			m.Unlisted("open /backups: no such file or directory")
		}, after(time.Minute), "the snapshots on the disk can't be read: open /backups: no such file or directory"},
		"a directory that can be read again": {func(m *metrics.Metrics) {
			m.Unlisted("open /backups: no such file or directory")
			m.Inventory(metrics.Local, []metrics.Snapshot{x})
		}, after(time.Minute), ""},
		"pruning failed": {func(m *metrics.Metrics) {
			m.PruningFailed(after(time.Minute), "remove x: read-only file system")
		}, after(time.Minute), "pruning on the disk failed: remove x: read-only file system"},
		"pruning failed and did not again": {func(m *metrics.Metrics) {
			m.PruningFailed(after(time.Minute), "remove x: read-only file system")
			m.Pruned(metrics.Local)
		}, after(time.Hour), ""},
		"verification could not be done": {func(m *metrics.Metrics) {
			m.Failed(metrics.Verify, after(time.Minute), x.Name, metrics.LowSpace, "only 3 MiB are free")
		}, after(time.Minute), "verification of " + x.Name + " failed: only 3 MiB are free"},
	} {
		t.Run(name, func(t *testing.T) {
			now := c.now
			m := metrics.New(options(&now))
			older := taken(after(-time.Hour), mib, 99)
			m.Inventory(metrics.Local, []metrics.Snapshot{older, x})
			m.Inventory(metrics.S3, []metrics.Snapshot{older, x})
			m.Rebuilt()
			m.Schedule(metrics.Snapshots, after(time.Hour), time.Hour)
			c.story(m)
			ok, reasons := m.Health(now)
			one := strings.Join(reasons, "\n")
			if ok != (c.want == "") || ok != (len(reasons) == 0) || len(reasons) > 1 || !strings.HasPrefix(one, c.want) {
				t.Errorf("%v, want %q, got:\n%s", ok, c.want, one)
			}
			if status, body := get(t, m, "/readyz"); (status == 200) != ok || !ok && body != one+"\n" {
				t.Errorf("/readyz says %d %q", status, body)
			}
			if _, body := get(t, m, "/"); (strings.Contains(body, "All is well") || strings.Contains(body, "Backups are well")) != ok {
				t.Error("the page says otherwise")
			}
		})
	}
}

// TestS3NeverSeen: what waits is not known, and is not to look well.
func TestS3NeverSeen(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	m.Inventory(metrics.Local, history(now))
	m.Schedule(metrics.Snapshots, now.Add(time.Hour), time.Hour)
	m.Rebuilt()
	if _, reasons := m.Health(now); len(reasons) != 1 || reasons[0] != "S3 has not answered since the start" {
		t.Errorf("before the first pass: %v", reasons)
	}
	m.Attempt(metrics.Mirror, now)
	if _, body := get(t, m, "/"); !strings.Contains(body, "<h1>Starting</h1>") || !strings.Contains(body, "<li>S3 has not answered since the start</li>") {
		t.Error("during the first pass the page does not say that it is starting")
	}
	if status, _ := get(t, m, "/readyz"); status != 503 {
		t.Errorf("during the first pass /readyz is %d", status)
	}
	m.Started(now, now, now, now, now, now)
	if _, body := get(t, m, "/"); !strings.Contains(body, "<h1>Needs attention</h1>") {
		t.Error("during the first pass another reason does not show")
	}
	m.Started(now)
	m.Failed(metrics.Mirror, now, "", metrics.Host, "no such host")
	if _, reasons := m.Health(now); len(reasons) != 1 || reasons[0] != "S3 could not be listed since the start: no such host" {
		t.Errorf("after it: %v", reasons)
	}
	if _, body := get(t, m, "/"); !strings.Contains(body, "<h1>Needs attention</h1>") {
		t.Error("after the first pass has failed the page still says that it is starting")
	}
	if _, body := get(t, m, "/metrics"); strings.Contains(body, `snapshots{place="s3"}`) || strings.Contains(body, "waiting_") {
		t.Error("tells of snapshots in S3 without having seen any")
	}
}

// TestSwitchedOffIsNotMissed: without S3, verification and drills there is nothing to be late with.
func TestSwitchedOffIsNotMissed(t *testing.T) {
	now := noon
	m := metrics.New(metrics.Options{Now: func() time.Time { return now }})
	m.Rebuilt()
	m.SnapshotDone(now, taken(now, mib, 1), time.Second, time.Second)
	m.Schedule(metrics.Snapshots, now.Add(time.Hour), time.Hour)
	if ok, reasons := m.Health(now.Add(time.Hour)); !ok {
		t.Error(reasons)
	}
	_, body := get(t, m, "/metrics")
	for _, l := range ours(body) {
		for _, word := range []string{`"mirror"`, `"verify"`, `"drill"`, `"s3"`, "waiting", "locked", "s3_errors", "drill_passed", "disk_free"} {
			if strings.Contains(l, word) {
				t.Errorf("tells of what is off: %s", l)
			}
		}
	}
	_, page := get(t, m, "/")
	if strings.Contains(page, "erification") || strings.Count(page, `value">off<`) != 2 {
		t.Errorf("the page is to say that S3 and drills are off, and nothing else of them:\n%s", page)
	}
}

// TestFreshSnapshotWaits: between a snapshot and the mirror's next pass it waits, even if a pass that began before says that
// nothing does.
func TestFreshSnapshotWaits(t *testing.T) {
	now := noon
	m := well(&now)
	x := taken(now, mib, 50_000_000)
	m.Attempt(metrics.Mirror, now.Add(-time.Second))
	m.SnapshotDone(now, x, time.Second, time.Second)
	m.Waiting(nil)
	m.MirrorDone(now.Add(time.Second), 0)
	if _, body := get(t, m, "/metrics"); !strings.Contains(body, "\netcd_rolling_backup_waiting_snapshots 1\n") {
		t.Error("the new one does not wait")
	}
	m.Attempt(metrics.Mirror, now.Add(2*time.Second))
	m.Waiting([]metrics.Snapshot{x})
	m.Uploaded(x, time.Second)
	m.Waiting(nil)
	if _, body := get(t, m, "/metrics"); !strings.Contains(body, "\netcd_rolling_backup_waiting_snapshots 0\n") ||
		!strings.Contains(body, "snapshots{place=\"s3\"} 35\n") {
		t.Error("the new one has not arrived")
	}
}

// TestOthers: what others have to say is told everywhere.
func TestOthers(t *testing.T) {
	now := noon
	o := options(&now)
	o.Mirror, o.Drill = false, false
	var told []string
	o.Others = func() []string { return told }
	m := metrics.New(o)
	m.Rebuilt()
	m.SnapshotDone(now, taken(now, mib, 1), 0, 0)
	for _, told = range [][]string{nil, {"the disk is another"}} {
		ok, reasons := m.Health(now)
		_, ready := get(t, m, "/readyz")
		_, page := get(t, m, "/")
		_, gauges := get(t, m, "/metrics")
		want := fmt.Sprintf("etcd_rolling_backup_ready %d\n", 1-len(told))
		if ok != (told == nil) || !slices.Equal(reasons, told) || told != nil && !strings.Contains(ready, told[0]) ||
			strings.Contains(page, "<li>the disk is another<") != (told != nil) || !strings.Contains(gauges, want) {
			t.Errorf("told %q: %t, %q, %q\n%s", told, ok, reasons, ready, page)
		}
	}
}
