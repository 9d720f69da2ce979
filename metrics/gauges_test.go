package metrics_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// TestDamagedSnapshotsAreCountedOnce whether one copy of it is damaged or both, and also after the file was renamed.
func TestDamagedSnapshotsAreCountedOnce(t *testing.T) {
	now := noon
	tr := statustest.Broken(&now)
	if !slices.Contains(scrape(t, tr), "damaged_snapshots 1") {
		t.Error("a renamed file is not counted")
	}
	list := statustest.History(noon)
	tr.SetDamaged(status.S3, noon, list[0].Name, errors.New("m"))
	tr.SetDamaged(status.S3, noon, list[1].Name, errors.New("m"))
	if !slices.Contains(scrape(t, tr), "damaged_snapshots 2") {
		t.Error("not the number of snapshots")
	}
}

// TestWaitingAge is the age of the oldest snapshot that is pending, and never below 0.
func TestWaitingAge(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	for since, want := range map[time.Time]string{noon.Add(-time.Hour): "3600", noon.Add(time.Hour): "0"} {
		tr.SetPending(since, nil)
		tr.SetPending(since, statustest.Names(statustest.History(noon)[:1]))
		got := scrape(t, tr)
		if !slices.Contains(got, "waiting_oldest_age_seconds "+want) || !slices.Contains(got, "waiting_snapshots 1") {
			t.Errorf("since %s: not %s", since, want)
		}
	}
}

// TestLossIsCompared: with the largest and highest of the day before.
func TestLossIsCompared(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Now: statustest.Noon})
	var list []status.Copy
	for i, raw := range []int64{1000, 5000, 4000} {
		list = append(list, status.Copy{Name: statustest.Name(now.Add(-time.Duration(i) * time.Hour)), Size: 1, Facts: snapshot.Facts{RawSize: raw, Revision: int64(100 - i)}})
	}
	tr.SetInventory(status.Local, list, nil)
	for _, line := range []string{"newest_raw_bytes 1000", "newest_revision 100", "compared_raw_bytes 5000", "compared_revision 99"} {
		if !slices.Contains(scrape(t, tr), line) {
			t.Errorf("lacks %s", line)
		}
	}
}
