package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// journalKills is how often the daemon is killed.
const journalKills = 60

// However often the daemon is killed, the next one continues: from the only snapshot to the end no revision is missing.
func TestKilledDaemonLeavesAJournalWithoutAGap(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir, r := newStore(t), random(t)
	args := words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{
		"--schedule=@every 10h", "--journal", "--journal-sync=50ms", "--journal-segment=200ms",
	})
	client := etcdtest.Dial(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() { written <- etcdtest.Churn(ctx, client, 7, 2*time.Millisecond) }()
	for round := range journalKills + 1 {
		p := launch(t, exec.Command(lean, args...))
		if round == 0 { // without a first segment each daemon begins a new journal
			eventually(t, "there is a snapshot and a segment", func() bool { return len(listed(t, dir)) == 1 && len(segments(t, dir)) > 0 })
		}
		p.killAfter(time.Duration(r.Int64N(int64(900 * time.Millisecond))))
	}
	cancel()
	must(t, <-written)
	now, err := client.Get(t.Context(), "x", clientv3.WithCountOnly())
	must(t, err)
	last := launch(t, exec.Command(lean, args...))
	eventually(t, "the journal has everything", func() bool {
		names := segments(t, dir)
		return len(names) > 0 && slices.ContainsFunc(names, func(n snapshot.SegmentName) bool { return n.Last >= now.Header.Revision })
	})
	last.stop(t, syscall.SIGTERM, 0)
	names, base := segments(t, dir), listed(t, dir)
	m, err := snapshot.NewDir(dir).Manifest(base[0].Name)
	must(t, err)
	if ranges := journaltest.Ranges(names); len(base) != 1 || len(ranges) != 1 || ranges[0].First > m.Revision+1 {
		t.Fatalf("snapshots %v, ranges %v; the end of the last log:\n%s", base, ranges, last.stderr.String())
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.part")); err != nil || len(left) > 0 {
		t.Errorf("incomplete segments %q, %v", left, err)
	}
	if got, want := journaledAfter(t, dir, names, m.Revision), shownBy(t, client, m.Revision+1, now.Header.Revision); got != want {
		t.Errorf("the journal has %d lines, etcd %d", strings.Count(got, "\n"), strings.Count(want, "\n"))
	}
}

func segments(t *testing.T, dir string) (names []snapshot.SegmentName) {
	t.Helper()
	l, err := snapshot.NewDir(dir).List()
	if err != nil { // the daemon has not made it yet
		return nil
	}
	for _, s := range l.Segments {
		if s.Name.Complete() {
			names = append(names, s.Name)
		}
	}
	return names
}

// journaledAfter are the revisions and keys of the events after a revision.
func journaledAfter(t *testing.T, dir string, names []snapshot.SegmentName, from int64) string {
	t.Helper()
	var text strings.Builder
	at := from
	for _, n := range journal.Follow(names, from) {
		f, err := os.Open(filepath.Join(dir, n.String()))
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		s, err := journal.Open(f, info.Size())
		must(t, err)
		must(t, s.Each(t.Context(), func(r journal.Record) error {
			if (r.Kind == journal.KindPut || r.Kind == journal.KindDelete) && r.Revision > at {
				fmt.Fprintln(&text, r.Revision, r.Kind == journal.KindDelete)
			}
			return nil
		}))
		at = max(at, n.Last)
		must(t, f.Close())
	}
	return text.String()
}

// shownBy are those that etcd shows.
func shownBy(t *testing.T, client *clientv3.Client, from, to int64) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endLimit)
	defer cancel()
	var text strings.Builder
	for r := range client.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(from)) {
		must(t, r.Err())
		for _, e := range r.Events {
			fmt.Fprintln(&text, e.Kv.ModRevision, e.Type == clientv3.EventTypeDelete)
		}
		if r.Events[len(r.Events)-1].Kv.ModRevision >= to {
			return text.String()
		}
	}
	t.Fatal("etcd does not show everything")
	return ""
}
