package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
)

// lateness is what --output json of restore and log says of it.
type lateness struct {
	Warnings []string
	Journal  struct {
		Revision  int64
		LateFirst int64 `json:"late_first_revision"`
		LateLast  int64 `json:"late_last_revision"`
	}
}

// putsTime returns what puts the time into a key.
func putsTime(t *testing.T, client *clientv3.Client) func() error {
	t.Helper()
	return func() error {
		_, err := client.Put(t.Context(), "/registry/key", time.Now().String())
		return err
	}
}

// A moment while nothing was received: some of what came afterward is older than the moment, and everything that says the state says so.
func TestRestoreAtAMomentWithinAnInterruptionWarns(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	put := putsTime(t, client)
	before := change(t, dir, client, put)
	p.kill()
	must(t, put())
	moment := time.Now()
	must(t, put())
	p = start(t, journalFlags(dir, c)...)
	eventually(t, "it is caught up", func() bool { return journaltest.Revision(t, dir) >= before.revision+2 })
	after := change(t, dir, client, put)
	p.kill()

	at := "--at=" + moment.Format(time.RFC3339Nano)
	first, last := before.revision+1, before.revision+2
	late := fmt.Sprintf("warning: the changes of revisions %d to %d were received late, at ", first, last)
	run(t, 0, []string{late, "asked for: " + moment.UTC().Format(time.DateTime+".999")}, words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--dry-run", at})...)
	run(t, 0, []string{late}, "get", "/registry/key", "--dir="+dir, at)
	out := run(t, 0, nil, words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--dry-run", "--output=json", at})...)
	var report lateness
	must(t, json.Unmarshal([]byte(out.stdout.String()), &report))
	if j := report.Journal; len(report.Warnings) == 0 || !strings.Contains(report.Warnings[0], "late") || j.Revision != before.revision || j.LateFirst != first || j.LateLast != last {
		t.Errorf("%+v", report)
	}
	for _, exact := range []int64{before.revision, first, after.revision} {
		out := run(t, 0, nil, words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--dry-run", "--at=" + strconv.FormatInt(exact, 10)})...)
		if strings.Contains(out.stderr.String(), "late") {
			t.Errorf("--at %d: %s", exact, out.stderr.String())
		}
	}
}

// A daemon that is stopped, or frozen, keeps its connection to etcd, which goes on.
func TestWhatChangedWhileTheDaemonWasStoppedIsLate(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	put := putsTime(t, client)
	before := change(t, dir, client, put)
	p.signal(t, syscall.SIGSTOP)
	eventually(t, "the daemon is stopped", func() bool {
		stat, err := os.ReadFile("/proc/" + pid(p) + "/stat")
		must(t, err)
		return bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" T"))
	})
	stopped, last := time.Now(), before.revision
	eventually(t, "it was stopped for long", func() bool {
		must(t, put())
		last++
		return time.Since(stopped) > 4*time.Second
	})
	p.signal(t, syscall.SIGCONT)
	eventually(t, "it goes on", func() bool { return journaltest.Revision(t, dir) >= last })
	p.stop(t, syscall.SIGTERM, 0)
	if strings.Contains(p.stderr.String(), "journal interrupted") {
		t.Errorf("the watch has ended: the test shows nothing:\n%s", p.stderr.String())
	}
	late := loggedLate(t, dir)
	for revision := before.revision + 1; revision <= last; revision++ {
		if !late[revision] {
			t.Fatalf("revision %d of %d to %d is not late", revision, before.revision+1, last)
		}
	}
	run(t, 0, []string{fmt.Sprintf("warning: the changes of revisions %d to %d were received late, at ", before.revision+1, last)},
		words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--dry-run", "--at=" + stopped.Add(2*time.Second).Format(time.RFC3339Nano)})...)
}

// loggedLate are the revisions that log marks as late.
func loggedLate(t *testing.T, dir string) map[int64]bool {
	t.Helper()
	late := map[int64]bool{}
	out := run(t, 0, nil, "log", "--dir="+dir, "--output=json")
	for line := range strings.Lines(out.stdout.String()) {
		var x struct {
			Revision int64
			Late     bool
		}
		must(t, json.Unmarshal([]byte(line), &x))
		late[x.Revision] = x.Late
	}
	return late
}
