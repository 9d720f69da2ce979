package metrics_test

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

func TestScrapePassesPromtool(t *testing.T) {
	promtool := program(t, "promtool")
	for name, make := range map[string]func(now *time.Time) *status.Tracker{
		"healthy": statustest.Healthy, "unhealthy": statustest.Unhealthy, "broken": statustest.Broken,
		"journal":  statustest.Journaled,
		"many":     func(now *time.Time) *status.Tracker { return statustest.Many(now, 500) },
		"starting": func(now *time.Time) *status.Tracker { return status.New(statustest.Options(now)) },
		"bare":     func(*time.Time) *status.Tracker { return status.New(status.Options{}) },
		"none":     func(*time.Time) *status.Tracker { return nil },
	} {
		code, body := get(t, handler(make), "/metrics")
		if code != 200 {
			t.Fatalf("%s: %d\n%s", name, code, body)
		}
		c := exec.Command(promtool, "check", "metrics")
		c.Stdin = strings.NewReader(body)
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: promtool check metrics: %v\n%s", name, err, out)
		}
	}
}

// ours are the lines of a scrape that this package writes, without help, type and the buckets of histograms.
func ours(body string) []string {
	var out []string
	for l := range strings.Lines(body) {
		l = strings.TrimSuffix(l, "\n")
		if s, ok := strings.CutPrefix(l, "etcd_rolling_backup_"); ok && !strings.Contains(l, "_bucket{") && !strings.HasPrefix(s, "build_info") {
			out = append(out, s)
		}
	}
	return out
}

// nonzero leaves out the counters that nothing has moved.
func nonzero(lines []string) []string {
	idle := regexp.MustCompile(`(_total|_total\{.*\}|_count\{.*\}|_sum\{.*\}) 0$`)
	return slices.DeleteFunc(lines, idle.MatchString)
}

// bytesOf is the sum of sizes as the text format has it.
func bytesOf(list []status.Copy) string {
	sum := int64(0)
	for _, x := range list {
		sum += x.Size
	}
	return strconv.FormatFloat(float64(sum), 'g', -1, 64)
}

func TestScrapeOfAnUnhealthyState(t *testing.T) {
	now := noon
	tr := statustest.Unhealthy(&now)
	want := `
compared_in_use_bytes 2.41539072e+08
compared_keys 189228
compared_raw_bytes 2.4992768e+08
compared_revision 4.827886e+07
config_last_reload_successful 1
damaged_snapshots 1
disk_free_bytes 4.4023414784e+10
drill_passed 0
due_timestamp_seconds{kind="drill"} 1.79538e+09
due_timestamp_seconds{kind="snapshot"} 1.7953524e+09
etcd_alarm{alarm="CORRUPT"} 0
etcd_alarm{alarm="NOSPACE"} 1
etcd_alarm{alarm="other"} 0
etcd_database_bytes 2.13909504e+09
etcd_has_leader 0
etcd_reachable 1
etcd_seen_timestamp_seconds 1.79534953e+09
failures_in_a_row{kind="drill"} 1
failures_in_a_row{kind="mirror"} 1
failures_in_a_row{kind="snapshot"} 4
failures_in_a_row{kind="verify"} 1
gone_resources 0
in_progress{kind="drill"} 0
in_progress{kind="mirror"} 0
in_progress{kind="snapshot"} 0
in_progress{kind="verify"} 0
last_attempt_timestamp_seconds{kind="drill"} 1.79534952e+09
last_attempt_timestamp_seconds{kind="mirror"} 1.79534949e+09
last_attempt_timestamp_seconds{kind="snapshot"} 1.79534943e+09
last_attempt_timestamp_seconds{kind="verify"} 1.79534951e+09
last_success_timestamp_seconds{kind="drill"} 1.79533524e+09
last_success_timestamp_seconds{kind="mirror"} 1.795348812e+09
last_success_timestamp_seconds{kind="snapshot"} 1.795348804e+09
last_success_timestamp_seconds{kind="verify"} 1.79534892e+09
locked_snapshots 0
min_free_bytes 1.073741824e+09
newest_archive_bytes 4.8234496e+07
newest_in_use_bytes 2.32783872e+08
newest_keys 189204
newest_raw_bytes 2.4117248e+08
newest_revision 4.8291734e+07
next_run_timestamp_seconds{kind="drill"} 1.79538e+09
next_run_timestamp_seconds{kind="snapshot"} 1.7953524e+09
ready 0
recent_starts 1
runs_total{kind="drill",reason="none",result="success"} 1
runs_total{kind="drill",reason="start",result="failure"} 1
runs_total{kind="mirror",reason="credentials",result="failure"} 1
runs_total{kind="mirror",reason="none",result="success"} 1
runs_total{kind="snapshot",reason="none",result="success"} 1
runs_total{kind="snapshot",reason="unreachable",result="failure"} 4
runs_total{kind="verify",reason="damaged",result="failure"} 1
runs_total{kind="verify",reason="none",result="success"} 9
s3_errors_total{class="credentials"} 1
schedule_interval_seconds{kind="drill"} 86400
schedule_interval_seconds{kind="snapshot"} 3600
snapshots_bytes{place="local"} ` + bytesOf(statustest.History(now)) + `
snapshots_bytes{place="s3"} ` + bytesOf(statustest.History(now)[5:]) + `
snapshots{place="local"} 34
snapshots{place="s3"} 29
stage_duration_seconds_count{stage="drill"} 1
stage_duration_seconds_count{stage="fsync"} 1
stage_duration_seconds_count{stage="stream"} 1
stage_duration_seconds_count{stage="upload"} 1
stage_duration_seconds_count{stage="verify"} 9
stage_duration_seconds_sum{stage="drill"} 35
stage_duration_seconds_sum{stage="fsync"} 0.4
stage_duration_seconds_sum{stage="stream"} 3.2
stage_duration_seconds_sum{stage="upload"} 6
stage_duration_seconds_sum{stage="verify"} 72
uploaded_bytes_total 4.8234496e+07
uploads_total 1
waiting_oldest_age_seconds 15150
waiting_snapshots 5
`
	got := nonzero(scrape(t, tr))
	slices.Sort(got)
	if g, w := strings.Join(got, "\n"), strings.TrimSpace(want); g != w {
		t.Errorf("the scrape has:\n%s\nwant:\n%s", g, w)
	}
}

// TestReasonsOutsideTheirSetBecomeOther holds label values to their sets.
func TestReasonsOutsideTheirSetBecomeOther(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	for _, j := range status.Jobs() {
		tr.End(j, now, status.Outcome{Reason: "dial tcp 10.0.0.1:2379: refused", Message: "text"})
		tr.End(j, now, status.Outcome{Reason: "a whim", Skipped: true})
	}
	tr.End(status.Drill, now, status.Outcome{Reason: status.Host, Skipped: true})
	tr.SetMember(now, 1, true, []string{"nospace", "NEWS"})
	got := scrape(t, tr)
	want := []string{
		`runs_total{kind="drill",reason="host",result="skipped"} 1`, `s3_errors_total{class="other"} 1`, `s3_errors_total{class="host"} 1`,
		`etcd_alarm{alarm="NOSPACE"} 1`, `etcd_alarm{alarm="other"} 1`,
	}
	for _, j := range status.Jobs() {
		for _, result := range []status.Result{status.Failed, status.Skipped} {
			want = append(want, fmt.Sprintf(`runs_total{kind=%q,reason="other",result=%q} 1`, j, result))
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("the scrape lacks %s", line)
		}
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "refused") || strings.Contains(all, "whim") {
		t.Error("an unknown word became a label")
	}
}

func TestScrapeSaysWhetherTheStateFileIsIncluded(t *testing.T) {
	tr := status.New(status.Options{})
	for _, included := range []bool{true, false, true} {
		tr.SetStateFile(included)
		want := fmt.Sprintf("state_file_included %d", map[bool]int{true: 1}[included])
		if got := scrape(t, tr); !slices.Contains(got, want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}

func TestScrapeHasTheLastStream(t *testing.T) {
	tr := status.New(status.Options{})
	lines := []string{"stream_bytes_per_second 5.24288e+07", `etcd_latency_seconds{stream="before"} 0.0005`, `etcd_latency_seconds{stream="during"} 0.002`}
	for _, c := range []struct {
		stream status.Stream
		shown  int
	}{
		{status.Stream{}, 0},
		{status.Stream{Rate: 50 << 20, Latency: snapshot.Latency{Before: 500 * time.Microsecond, During: 2 * time.Millisecond}}, 3},
		{status.Stream{Rate: 50 << 20}, 1}, // with a fixed rate since a reload
	} {
		tr.SetStream(c.stream)
		got := strings.Join(scrape(t, tr), "\n")
		for i, line := range lines {
			if strings.Contains(got, line) != (i < c.shown) {
				t.Errorf("%+v: %s: shown %t", c.stream, line, i >= c.shown)
			}
		}
	}
}

// TestCountersExistBeforeTheFirstEvent: or else the first one would be a new series and no rise.
func TestCountersExistBeforeTheFirstEvent(t *testing.T) {
	got := scrape(t, status.New(status.Options{Mirror: true, Drill: true}))
	for _, j := range status.Jobs() {
		want := []string{fmt.Sprintf(`runs_total{kind=%q,reason="none",result="success"} 0`, j)}
		for _, r := range status.FailureReasons(j) {
			want = append(want, fmt.Sprintf(`runs_total{kind=%q,reason=%q,result="failure"} 0`, j, r))
		}
		for _, r := range status.SkipReasons(j) {
			want = append(want, fmt.Sprintf(`runs_total{kind=%q,reason=%q,result="skipped"} 0`, j, r))
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("the scrape lacks %s", line)
			}
		}
	}
	for _, line := range []string{
		`pruned_total{place="local"} 0`, `pruned_total{place="s3"} 0`, "unmirrored_total 0", "prune_failures_total 0", "uploads_total 0",
		"uploaded_bytes_total 0", `s3_errors_total{class="busy"} 0`, `stage_duration_seconds_count{stage="drill"} 0`,
	} {
		if !slices.Contains(got, line) {
			t.Errorf("the scrape lacks %s", line)
		}
	}
}

// TestJobsThatAreOffHaveNoSeries: alerts on them would never be right.
func TestJobsThatAreOffHaveNoSeries(t *testing.T) {
	tr := status.New(status.Options{Now: statustest.Noon})
	tr.SetInventory(status.Local, statustest.History(noon), nil)
	m := metrics.New(metrics.Options{State: tr.State, Problems: tr.Problems, Now: statustest.Noon})
	_, body := get(t, m.Handler(), "/metrics")
	for _, l := range ours(body) {
		for _, word := range []string{`"mirror"`, `"verify"`, `"drill"`, `"s3"`, "waiting", "locked", "s3_errors", "drill_passed", "state_file", "disk_free", "min_free", "etcd_"} {
			if strings.Contains(l, word) {
				t.Errorf("shows what is off: %s", l)
			}
		}
	}
}

// TestWhatIsNotKnownIsAbsent: 0 would look healthy.
func TestWhatIsNotKnownIsAbsent(t *testing.T) {
	now := noon
	listed := status.New(statustest.Options(&now))
	listed.SetInventory(status.Local, []status.Copy{{Name: statustest.Name(noon), Size: 7}}, nil)
	unreadable := statustest.Healthy(&now)
	unreadable.SetInventory(status.Local, nil, errors.New("stale file handle"))
	away := status.New(statustest.Options(&now))
	away.MemberAway(now)
	for name, c := range map[string]struct {
		tr             *status.Tracker
		absent, exists []string
	}{
		"nothing": {status.New(statustest.Options(&now)), []string{
			"snapshots{", "snapshots_bytes{", "newest_", "compared_", "waiting_", "etcd_", "drill_passed", "next_run_", "due_",
		}, []string{"ready 0", `last_success_timestamp_seconds{kind="mirror"} 0`, "damaged_snapshots 0", "locked_snapshots 0"}},
		"the disk only, without details": {listed, []string{`snapshots{place="s3"}`, "newest_raw", "newest_revision", "compared_", "waiting_"}, []string{
			`snapshots{place="local"} 1`, "newest_archive_bytes 7",
		}},
		"a disk that can't be read": {unreadable, []string{`snapshots{place="local"}`, `snapshots_bytes{place="local"}`}, []string{`snapshots{place="s3"} 34`}},
		"an etcd never seen":        {away, []string{"etcd_seen", "etcd_database", "etcd_has_leader", "etcd_alarm"}, []string{"etcd_reachable 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := scrape(t, c.tr)
			for _, l := range got {
				for _, prefix := range c.absent {
					if strings.HasPrefix(l, prefix) {
						t.Errorf("has %s", l)
					}
				}
			}
			for _, line := range c.exists {
				if !slices.Contains(got, line) {
					t.Errorf("lacks %s", line)
				}
			}
		})
	}
}
