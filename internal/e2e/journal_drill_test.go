package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
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

// Between two snapshots, the cluster was restored under its ID: what it had before does not lead to what it has now, and nothing is wrong with either.
func TestDrillProvesNoJournalAcrossARestore(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir, m, client := newStore(t), c.Members[0], etcdtest.Dial(t, c)
	put := func(n int, value string) (last int64) {
		for i := range n {
			p, err := client.Put(t.Context(), fmt.Sprint("/key/", i), value)
			must(t, err)
			last = p.Header.Revision
		}
		return last
	}
	daemon := func(drills string) *watched {
		w := watch(t, dir, flags(c, m.Endpoint), []string{"--schedule=@every 10000h", "--journal", "--journal-segment=1s", "--drill-schedule=" + drills})
		w.says(t, "journal ")
		return w
	}
	w := daemon("off")
	eventually(t, "there is a snapshot", func() bool { return len(listed(t, dir)) == 1 })
	put(10, "before")
	old := saved(t, c)
	last := put(20, "before")
	eventually(t, "the journal has all", func() bool { return journaltest.Revision(t, dir) >= last })
	w.stop(t, syscall.SIGTERM, 0)

	must(t, m.Stop())
	must(t, os.RemoveAll(m.DataDir))
	_, err := etcdtest.Etcdutl(t.Context(), c.Version, "snapshot", "restore", unpack(t, old), "--data-dir="+m.DataDir, "--name="+m.Name,
		"--initial-cluster="+m.Name+"="+m.PeerURL, "--initial-advertise-peer-urls="+m.PeerURL)
	must(t, err)
	must(t, m.Restart(t.Context()))
	if again := put(5, "after"); again >= last {
		t.Fatalf("the restored cluster is at revision %d, after %d", again, last)
	}
	w = daemon("@every 2s")
	eventually(t, "there is a snapshot of after the restore", func() bool { return len(listed(t, dir)) == 2 })
	again := listed(t, dir)[0].Name.String()
	eventually(t, "two drills have restored it", func() bool {
		n := 0
		for line := range strings.Lines(w.stderr.String()) {
			if strings.Contains(line, "restore drill passed") && strings.Contains(line, again) {
				n++
			}
		}
		return n > 1
	})
	if failed, _ := w.value(t, "journal_drill_failures_total"); failed != 0 || strings.Contains(w.stderr.String(), "does not lead to the next snapshot") {
		t.Fatalf("a restore made the journal wrong, %v times:\n%s", failed, w.stderr.String())
	}
	w.has(t, "journal_drill_passed", 1)
	w.stop(t, syscall.SIGTERM, 0)
	for _, s := range listed(t, dir) {
		run(t, 0, []string{"is intact", "restored as a test"}, "verify", "--dir="+dir, "--restore", "--min-free=0", s.Name.String())
	}
}
