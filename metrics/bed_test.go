package metrics_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

const (
	kib = int64(1) << 10
	mib = kib << 10
	gib = mib << 10
)

// noon is when the tests take place.
var noon = time.Date(2026, 11, 22, 12, 12, 30, 0, time.UTC)

func options(now *time.Time) metrics.Options {
	return metrics.Options{
		Version: "1.2.3", Node: "node-a", Mirror: true, Verify: true, Drill: true,
		FreeBytes: func() (int64, error) { return 41 * gib, nil }, MinFree: gib,
		RestoreCommand: func(name string, from metrics.Place) string {
			return fmt.Sprintf("etcd-rolling-backup restore --from %s --data-dir /var/lib/etcd %s", from, name)
		},
		Now: func() time.Time { return *now },
	}
}

func taken(t time.Time, archive, revision int64) metrics.Snapshot {
	name := "rolling_node-a_" + t.UTC().Format("20060102T150405Z") + ".db.zst"
	return metrics.Snapshot{Name: name, Time: t, Size: archive, RawSize: 5 * archive, Revision: revision}
}

// history is what a policy of 24 hourly, 7 daily and 4 weekly snapshots keeps, newest first.
func history(now time.Time) []metrics.Snapshot {
	var out []metrics.Snapshot
	newest := now.Truncate(time.Hour)
	add := func(hours int) {
		n := int64(hours)
		out = append(out, taken(newest.Add(-time.Duration(hours)*time.Hour), 46*mib-n*60*kib+(n*7919%23)*90*kib, 48_291_734-n*12_873-(n*n)%900))
	}
	for h := range 24 {
		add(h)
	}
	for d := 1; d < 7; d++ {
		add(24*d + 12)
	}
	for w := 1; w < 5; w++ {
		add(24*7*w + 12)
	}
	return out
}

// well is a daemon that has run for a while and has nothing to complain of, at *now.
func well(now *time.Time) *metrics.Metrics {
	m := metrics.New(options(now))
	list := history(*now)
	m.Inventory(metrics.Local, list[1:])
	m.Inventory(metrics.S3, list[1:])
	m.Rebuilt()
	newest := list[0]
	m.Attempt(metrics.Snapshots, newest.Time)
	m.SnapshotDone(newest.Time.Add(4*time.Second), newest, 3*time.Second+200*time.Millisecond, 400*time.Millisecond)
	m.Schedule(metrics.Snapshots, newest.Time.Add(time.Hour), time.Hour)
	m.Member(newest.Time, 231*mib, true, nil)
	m.Attempt(metrics.Mirror, newest.Time.Add(5*time.Second))
	m.Uploaded(newest, 6*time.Second)
	m.Waiting(nil)
	m.MirrorDone(newest.Time.Add(12*time.Second), 0)
	for _, x := range slices.Backward(list[:9]) {
		m.Attempt(metrics.Verify, x.Time.Add(time.Minute))
		m.Verified(x.Time.Add(2*time.Minute), x.Name, 8*time.Second)
	}
	m.Attempt(metrics.Drill, list[4].Time)
	m.Drilled(list[4].Time.Add(14*time.Minute), list[4].Name, 35*time.Second)
	m.Schedule(metrics.Drill, time.Unix(1795380000, 0), 24*time.Hour)
	m.Started(now.Add(-26*time.Hour), now.Add(-50*time.Minute))
	return m
}

// ill is one with every trouble there is.
func ill(now *time.Time) *metrics.Metrics {
	m := well(now)
	list := history(*now)
	for i := range 4 {
		at := now.Add(-time.Duration(4-i) * 2 * time.Minute)
		m.Attempt(metrics.Snapshots, at)
		m.Failed(metrics.Snapshots, at.Add(10*time.Second), "", metrics.Unreachable,
			"connect to etcd at 127.0.0.1:2379: connection refused (is etcd running? --endpoints names where)")
	}
	m.Inventory(metrics.S3, list[5:])
	m.Waiting(list[:5])
	m.Attempt(metrics.Mirror, now.Add(-time.Minute))
	m.Failed(metrics.Mirror, now.Add(-50*time.Second), "", metrics.Credentials, "list bucket backups at minio.example.net:9000: the access key is not known there")
	m.Failed(metrics.Verify, now.Add(-40*time.Second), list[0].Name, metrics.Damaged, "the page 17 of the database is not what its digest says")
	m.Failed(metrics.Drill, now.Add(-30*time.Second), list[1].Name, metrics.Start, "the restored etcd ended after 2 s:\nexit status 1")
	m.Member(now.Add(-20*time.Second), 2040*mib, false, []string{"NOSPACE"})
	return m
}

// get asks the handler and gives status and body.
func get(t testing.TB, m *metrics.Metrics, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

// program is one that `make tools` fetched. A missing one fails the test, so that none passes by not running.
func program(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("ETCD_BACKUP_TEST_BIN")
	if dir == "" {
		dir = filepath.Join("..", ".cache", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatal(errors.Join(errors.New("run make tools"), err))
	}
	return path
}
