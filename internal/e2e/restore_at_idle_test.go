package e2e_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// quietUntil waits until the daemon has noted that nothing has changed for some time, and returns until when.
func quietUntil(t *testing.T, dir string, longer time.Time) time.Time {
	t.Helper()
	var note journal.QuietNote
	eventually(t, "nothing has changed for a while", func() bool {
		must(t, snapshot.NewDir(dir).ReadNote(snapshot.QuietNote(node), &note))
		return len(note) > 0 && note[len(note)-1].Until.After(longer)
	})
	return note[len(note)-1].Until
}

// Nobody has written since: each moment until the daemon's last look at etcd is the state that it had then, also after both were killed, and after a
// restart of the daemon.
func TestRestoreAtAMomentAfterTheLastChange(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	all := changes(t, dir, client)
	last := all[len(all)-1]
	quietUntil(t, dir, last.at.Add(time.Second))
	p.kill()
	p = start(t, journalFlags(dir, c)...)
	restarted := time.Now()
	quietUntil(t, dir, restarted.Add(time.Second))
	p.kill()
	until := quietUntil(t, dir, time.Time{}) // it may have been renewed before the end
	must(t, c.Members[0].Kill())

	restored := func(moment string, says ...string) *process {
		t.Helper()
		data := target(t)
		p := run(t, 0, says, words("restore", []string{"--dir=" + dir, "--data-dir=" + data, "--at=" + moment})...)
		wantState(t, etcdtest.Default, "node1", data, last.state).kill()
		return p
	}
	ends := "nothing changed after it until " + until.UTC().Format(time.DateTime+" UTC") + ", where the journal ends"
	restored(restarted.Format(time.RFC3339Nano), ends)
	restored("now", ends)
	run(t, 1, []string{
		fmt.Sprintf("the journal ends at revision %d, received ", last.revision), ", and nothing had changed until " + until.UTC().Format(time.DateTime+" UTC"),
		fmt.Sprintf("--at %d restores that revision", last.revision),
	}, words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--at=" + until.Add(time.Millisecond).Format(time.RFC3339Nano)})...).wantOneErrorLine(t)

	out := run(t, 0, nil, words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--dry-run", "--output=json"})...)
	var report struct {
		Journal struct {
			Unchanged time.Time `json:"unchanged_until"`
		}
	}
	must(t, json.Unmarshal([]byte(out.stdout.String()), &report))
	if !report.Journal.Unchanged.Equal(until) {
		t.Errorf("unchanged until %s, want %s", report.Journal.Unchanged, until)
	}
	out = run(t, 0, nil, words("list", []string{"--dir=" + dir, "--output=json"})...)
	var listed struct {
		Journal []struct {
			To time.Time `json:"last_time"`
		}
	}
	must(t, json.Unmarshal([]byte(out.stdout.String()), &listed))
	if len(listed.Journal) != 1 || !listed.Journal[0].To.Equal(until) {
		t.Errorf("list: %+v, want until %s", listed.Journal, until)
	}
}

// The newest snapshot was taken after the last change: a restore says that it is the newest state, and until when that is known.
func TestRestoreOfAnIdleClusterSaysUntilWhenNothingChanged(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	changes(t, dir, client)
	p.stop(t, syscall.SIGTERM, 0)
	p = start(t, append(journalFlags(dir, c), "--schedule=@every 2s")...)
	eventually(t, "there is a later snapshot", func() bool { return len(listed(t, dir)) > 1 })
	p.stop(t, syscall.SIGTERM, 0)
	p = start(t, journalFlags(dir, c)...)
	quietUntil(t, dir, time.Now())
	p.kill()
	until := quietUntil(t, dir, time.Time{}) // it may have been renewed before the end

	ends := "nothing changed after it until " + until.UTC().Format(time.DateTime+" UTC") + ", where the journal ends"
	dryRun := words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t), "--dry-run"})
	run(t, 0, []string{ends}, dryRun...)
	out := run(t, 0, nil, append(dryRun, "--output=json")...)
	var report struct {
		Journal *struct {
			Revision, Segments int64
			Unchanged          time.Time `json:"unchanged_until"`
		}
		Manifest struct{ Revision int64 }
	}
	must(t, json.Unmarshal([]byte(out.stdout.String()), &report))
	if j := report.Journal; j == nil || j.Revision != report.Manifest.Revision || j.Segments != 0 || !j.Unchanged.Equal(until) {
		t.Errorf("%+v, want unchanged until %s", report, until)
	}
}

// On a machine without the directory, each command that reads the journal reads it from the bucket.
func TestJournalIsReadFromTheBucketWhereThereIsNoDirectory(t *testing.T) {
	parallel(t)
	j := newMirroredJournal(t)
	last := fmt.Sprint(j.changed(t).revision)
	names := j.segments()
	segment := names[len(names)-1].String()
	none := filepath.Join(t.TempDir(), "none")
	missing := []string{"unusable directory: ", none, "no such file or directory", "(in a bucket? set --s3-bucket"}
	for _, x := range []struct {
		args []string
		says string
	}{
		{[]string{"log", "--since=" + last, "--node=" + node}, last},
		{[]string{"list", "--node=" + node}, "(revision " + last + "), s3"},
		{[]string{"verify"}, "to revision " + last},
		{[]string{"verify", segment}, segment + " is intact"},
		{[]string{"restore", "--dry-run", "--data-dir=" + target(t)}, "to revision " + last},
		{[]string{"ls", "--at=" + last}, "to revision " + last},
	} {
		args := words(x.args[0], x.args[1:], []string{"--dir=" + none})
		run(t, 2, missing, args...).wantOneErrorLine(t)
		out := run(t, 0, nil, append(args, j.remote...)...)
		if text := out.stdout.String() + out.stderr.String(); !strings.Contains(text, x.says) {
			t.Errorf("%q does not say %q:\n%s", x.args, x.says, text)
		}
	}
}

// A bucket does not know whether something was written that it lacks. A snapshot of the same revision there shows that nothing was.
func TestRestoreFromTheBucketAtAMomentAfterTheLastChange(t *testing.T) {
	parallel(t)
	j := newMirroredJournal(t)
	last := j.changed(t)
	quiet := quietUntil(t, j.dir, last.at.Add(time.Second))
	moment := "--at=" + quiet.Format(time.RFC3339Nano)
	none := "--dir=" + filepath.Join(t.TempDir(), "none")
	run(t, 1, []string{fmt.Sprintf("the journal ends at revision %d, received ", last.revision), fmt.Sprintf("--at %d restores that revision", last.revision)},
		words("restore", j.remote, []string{none, "--data-dir=" + target(t), moment})...).wantOneErrorLine(t)
	for _, place := range [][]string{{"--dir=" + j.dir}, {"--dir=" + j.dir, "--from=local"}} { // the disk knows it
		run(t, 0, []string{"nothing changed after it until "}, words("restore", j.remote, place, []string{"--data-dir=" + target(t), "--dry-run", moment})...)
	}
	eventually(t, "another second", func() bool { return time.Since(quiet) > 2*time.Second }) // names have whole ones
	run(t, 0, nil, words("save", store(j.dir), flags(j.etcd, j.etcd.Members[0].Endpoint), j.remote, []string{"--label=later"})...)
	data := target(t)
	run(t, 0, []string{"asked for: " + quiet.Format(time.DateTime)}, words("restore", j.remote, []string{none, "--data-dir=" + data, moment})...)
	wantState(t, etcdtest.Default, "node1", data, last.state).kill()
}
