package e2e_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// The daemon's drills restore the snapshot with the journal, and prove that the journal leads from each snapshot exactly to the next one.
func TestDrillsProveTheJournal(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	client := etcdtest.Dial(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() { written <- etcdtest.Churn(ctx, client, 7, 5*time.Millisecond) }()
	w := watch(t, dir, flags(c, c.Members[0].Endpoint), []string{
		"--schedule=@every 3s", "--keep-last=5", "--journal", "--journal-segment=1s", "--drill-schedule=@every 4s",
	})
	w.says(t, "restore drill of the journal passed")
	w.says(t, "journal proven: it leads exactly to the next snapshot")
	w.has(t, "journal_drill_passed", 1)
	w.has(t, "journal_drill_failures_total", 0)
	if at, there := w.value(t, "journal_proven_timestamp_seconds"); !there || at > float64(time.Now().Unix()+1) || at < float64(time.Now().Add(-time.Hour).Unix()) {
		t.Errorf("the journal was proven at %v", at)
	}
	w.stop(t, syscall.SIGTERM, 0)
	cancel()
	must(t, <-written)
	run(t, 0, []string{"journal of ", "  any moment from "}, "list", "--dir="+dir)
	oldest := listed(t, dir)
	run(t, 0, []string{"is intact", "  journal: ", "restored as a test with the journal: etcd 3.7", "as in the snapshot with the journal"},
		"verify", "--dir="+dir, "--restore", "--min-free=0", oldest[len(oldest)-1].Name.String())
	run(t, 0, []string{" UTC  ", "  put     "}, "log", "--dir="+dir, "--since=5m ago")
}
