package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// A real daemon with a real bucket tells every family that the document names, with the values that came about; asking it
// asks S3 nothing.
func TestScrapeHasEveryDocumentedFamily(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	b, proxy := bed.bucket(t), s3test.RunHTTPFaults(t, bed.server.Target)
	dir := newStore(t)
	w := watch(t, dir, flags(bed.etcd, bed.etcd.Endpoints()[0]), b.flags(proxy.Target), []string{"--schedule=@every 1h", "--journal"})
	w.has(t, "uploads_total", 1)
	w.has(t, `runs_total{kind="mirror",reason="none",result="success"}`, 2) // at the start, and after the snapshot
	w.ready(t, http.StatusOK, "ok\n")
	asked := len(proxy.Requests())

	for series, want := range map[string]float64{
		`runs_total{kind="snapshot",reason="none",result="success"}`: 1, `stage_duration_seconds_count{stage="stream"}`: 1,
		`stage_duration_seconds_count{stage="fsync"}`: 1, `stage_duration_seconds_count{stage="upload"}`: 1,
		`snapshots{place="local"}`: 1, `snapshots{place="s3"}`: 1, "waiting_snapshots": 0, "waiting_oldest_age_seconds": 0, "locked_snapshots": 0,
		`pruned_total{place="local"}`: 0, `schedule_interval_seconds{kind="snapshot"}`: 3600, "etcd_has_leader": 1, `etcd_alarm{alarm="NOSPACE"}`: 0, "ready": 1,
		`s3_errors_total{class="host"}`: 0, `failures_in_a_row{kind="mirror"}`: 0, `in_progress{kind="snapshot"}`: 0,
	} {
		if got, there := w.value(t, series); !there || got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	size, _ := w.value(t, "newest_archive_bytes")
	for _, same := range []string{`snapshots_bytes{place="local"}`, `snapshots_bytes{place="s3"}`, "uploaded_bytes_total"} {
		if got, _ := w.value(t, same); got != size || size != float64(listed(t, dir)[0].Size) {
			t.Errorf("%s is %v, the archive has %v", same, got, size)
		}
	}
	for _, some := range []string{"newest_raw_bytes", "newest_revision", "disk_free_bytes", "etcd_database_bytes", "etcd_seen_timestamp_seconds", `next_run_timestamp_seconds{kind="snapshot"}`, `due_timestamp_seconds{kind="snapshot"}`, "recent_starts"} {
		if got, _ := w.value(t, some); got <= 0 {
			t.Errorf("%s is %v", some, got)
		}
	}
	w.wantFamilies(t)
	w.wantPage(t, dir)
	if status, body := w.get(t, "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d, %s", status, body)
	}
	if now := len(proxy.Requests()); now != asked {
		t.Errorf("%d requests to S3 while nothing but questions came", now-asked)
	}
	w.stop(t, syscall.SIGTERM, 0)
	log := regexp.MustCompile("(?m)^.*does not answer yet.*\n").ReplaceAllString(w.stderr.String(), "") // etcd, on a busy machine
	if n := strings.Count(log, "level="); n != strings.Count(log, "level=info") {
		t.Errorf("lines beside those of information:\n%s", w.stderr.String())
	}
}

// wantFamilies compares with the document. Drills do not take place here, and this is no cluster of RKE.
func (w *watched) wantFamilies(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "METRICS.md"))
	must(t, err)
	_, body := w.get(t, "/metrics")
	count := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `(etcd_rolling_backup_[a-z0-9_]+)`").FindAllStringSubmatch(string(text), -1) {
		count++
		later := m[1] == "etcd_rolling_backup_drill_passed" || m[1] == "etcd_rolling_backup_gone_resources" ||
			strings.HasPrefix(m[1], "etcd_rolling_backup_journal_drill_") || m[1] == "etcd_rolling_backup_journal_proven_timestamp_seconds" || // with a drill
			strings.HasPrefix(m[1], "etcd_rolling_backup_compared_") // with the second snapshot
		rke := m[1] == "etcd_rolling_backup_state_file_included"
		if !later && !rke && !strings.Contains(body, "# TYPE "+m[1]+" ") {
			t.Errorf("the scrape lacks %s", m[1])
		}
	}
	if count < 25 {
		t.Errorf("the document names %d families", count)
	}
}

// wantPage demands that all is well and that the command the page shows would restore.
func (w *watched) wantPage(t *testing.T, dir string) {
	t.Helper()
	_, page := w.get(t, "/")
	if !strings.Contains(page, "Healthy") || !strings.Contains(page, node) {
		t.Errorf("the page:\n%s", page)
	}
	line := w.restoreCommand(t)
	if want := ourRestore + listed(t, dir)[0].Name.String() + " --replace --name node1 --from local --at latest --config /dev/null --dir " + dir; line != want {
		t.Errorf("the command is %s, want %s", line, want)
	}
	pasted(t, line+" --dry-run --data-dir "+target(t)).demand(t, 0)
}

// /readyz says why it is not well while etcd is away, and that it is well again.
func TestReadyzFollowsEtcd(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	w.ready(t, http.StatusOK, "ok\n")
	must(t, c.Members[0].Kill())
	w.ready(t, http.StatusServiceUnavailable, "snapshots failed in a row")
	_, body := w.get(t, "/readyz")
	if !strings.Contains(body, c.Members[0].Endpoint) || !strings.Contains(body, "is etcd running") {
		t.Errorf("the reason is %q", body)
	}
	if got, _ := w.value(t, `runs_total{kind="snapshot",reason="unreachable",result="failure"}`); got < 3 {
		t.Errorf("%v failures for an etcd that does not answer", got)
	}
	must(t, c.Restart(t.Context()))
	w.ready(t, http.StatusOK, "ok\n")
	w.stop(t, syscall.SIGTERM, 0)
}
