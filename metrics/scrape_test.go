package metrics_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etcd-rolling-backup/metrics"
)

func TestScrapePassesPromtool(t *testing.T) {
	promtool := program(t, "promtool")
	now := noon
	for name, m := range map[string]*metrics.Metrics{
		"well": well(&now), "ill": ill(&now), "many": many(&now, 500), "starting": metrics.New(options(&now)),
		"bare": metrics.New(metrics.Options{}),
	} {
		status, body := get(t, m, "/metrics")
		if status != 200 {
			t.Fatalf("%s: %d\n%s", name, status, body)
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
func bytesOf(list []metrics.Snapshot) string {
	sum := int64(0)
	for _, x := range list {
		sum += x.Size
	}
	return strconv.FormatFloat(float64(sum), 'g', -1, 64)
}

func TestScrapeTellsWhatIsKnown(t *testing.T) {
	now := noon
	_, body := get(t, ill(&now), "/metrics")
	want := `
compared_raw_bytes 2.4992768e+08
compared_revision 4.827886e+07
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
snapshots_bytes{place="local"} ` + bytesOf(history(now)) + `
snapshots_bytes{place="s3"} ` + bytesOf(history(now)[5:]) + `
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
	got := nonzero(ours(body))
	slices.Sort(got)
	if g, w := strings.Join(got, "\n"), strings.TrimSpace(want); g != w {
		t.Errorf("the scrape has:\n%s\nwant:\n%s", g, w)
	}
}

// TestUnknownWordsCountAsOther holds label values to their sets.
func TestUnknownWordsCountAsOther(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	m.Rebuilt()
	for _, k := range []metrics.Kind{metrics.Snapshots, metrics.Mirror, metrics.Verify, metrics.Drill} {
		m.Failed(k, now, "", "dial tcp 10.0.0.1:2379: refused", "text")
		m.Skipped(k, now, "a whim")
	}
	m.Skipped(metrics.Drill, now, metrics.Host)
	m.Member(now, 1, true, []string{"nospace", "NEWS"})
	_, body := get(t, m, "/metrics")
	got := nonzero(ours(body))
	for _, want := range []string{
		`runs_total{kind="snapshot",reason="other",result="failure"} 1`, `runs_total{kind="mirror",reason="other",result="failure"} 1`,
		`runs_total{kind="verify",reason="other",result="failure"} 1`, `runs_total{kind="drill",reason="other",result="failure"} 1`,
		`runs_total{kind="snapshot",reason="other",result="skipped"} 1`, `s3_errors_total{class="other"} 1`,
		`s3_errors_total{class="host"} 1`,
		`etcd_alarm{alarm="NOSPACE"} 1`, `etcd_alarm{alarm="other"} 1`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if strings.Contains(body, "refused") || strings.Contains(body, "whim") {
		t.Error("an unknown word became a label")
	}
}
