package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

const logLine = `^[ ≤]\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC  %d  %s  %s$`

// wantLog demands these lines: revision, change and the rest.
func wantLog(t *testing.T, text string, wanted ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(got) != len(wanted) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(wanted), text)
	}
	for i, want := range wanted {
		if !regexp.MustCompile(want).MatchString(got[i]) {
			t.Errorf("line %d is %q, not %s", i, got[i], want)
		}
	}
}

func change(revision int64, kind, rest string) string {
	return fmt.Sprintf(logLine, revision, fmt.Sprintf("%-6s", kind), regexp.QuoteMeta(rest))
}

func TestLogShowsWhoChangedWhatWhen(t *testing.T) {
	b := newJournalBed(t)
	start := b.put(t, "first", "1") // a journal that begins later was not connected then
	b.put(t, "second", "2")
	stop := b.recordFrom(t, start)
	b.written(t, start+1)
	managed := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop","managedFields":[` +
		`{"manager":"kubectl","time":"2026-11-29T14:03:07Z"},{"manager":"argocd","time":"2026-11-29T13:00:00Z"},{"manager":"kubelet"}]}}`
	deployed := b.put(t, "/registry/deployments/shop/web", managed)
	removed := b.remove(t, "/registry/deployments/shop/web")
	odd := b.put(t, "a\xffb", "x")
	b.written(t, odd)

	all := b.want(t, "log")
	wantLog(t, all, change(start, "put", "first"), change(start+1, "put", "second"), change(deployed, "put", "/registry/deployments/shop/web  by kubectl"),
		change(removed, "delete", "/registry/deployments/shop/web"), change(odd, "put", `"a\xffb"`))
	for i, line := range strings.Split(all, "\n") {
		if late := strings.HasPrefix(line, "≤"); late != (i < 2) {
			t.Errorf("late is %v in %s", late, line)
		}
	}
	stop()
	if again := b.want(t, "log"); again != all {
		t.Errorf("of the complete segment:\n%s\nbefore:\n%s", again, all)
	}
	wantLog(t, b.want(t, "log", "--prefix", "/registry/"), change(deployed, "put", "/registry/deployments/shop/web  by kubectl"),
		change(removed, "delete", "/registry/deployments/shop/web"))
	wantLog(t, b.want(t, "log", "--prefix", `"a\xff"`), change(odd, "put", `"a\xffb"`))

	var last map[string]any
	lines := strings.Split(strings.TrimSpace(b.want(t, "log", "--output", "json", "--prefix", "/")), "\n")
	must(t, json.Unmarshal([]byte(lines[0]), &last))
	if len(lines) != 2 || last["manager"] != "kubectl" || last["change"] != "put" || last["revision"] != float64(deployed) || last["version"] != 1.0 || last["late"] != nil {
		t.Errorf("JSON: %q", lines)
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(last["time"])); err != nil {
		t.Error(err)
	}
	wantLog(t, b.want(t, "log", "--since", fmt.Sprint(start+1), "--until", fmt.Sprint(deployed)), change(start+1, "put", "second"),
		change(deployed, "put", "/registry/deployments/shop/web  by kubectl"))
	wantLog(t, b.want(t, "log", "--since", "10m", "--until", fmt.Sprint(start)), change(start, "put", "first"))
	b.refused(t, exitUsage, []string{fmt.Sprintf("--until %d is before --since %d", start, odd)}, "log", "--since", fmt.Sprint(odd), "--until", fmt.Sprint(start))
	status, stdout, stderr := run(t.Context(), "log", "--dir", b.dir, "--since", fmt.Sprint(odd+1))
	if status != 0 || stdout != "" || !strings.HasPrefix(stderr, fmt.Sprintf("no such change is recorded; the journal in %s ends at revision %d, received 20", b.dir, odd)) {
		t.Errorf("after the end: status %d, %q, %q", status, stdout, stderr)
	}
	b.refused(t, exitUsage, []string{"--since: \"noon\" is not a moment"}, "log", "--since", "noon")
	b.refused(t, exitUsage, []string{"--until 2h ago is before --since 1h ago"}, "log", "--since", "1h ago", "--until", "2h ago")
	status, stdout, stderr = run(t.Context(), "log", "--dir", b.dir, "--until", "1h")
	if status != 0 || stdout != "" || stderr != "no such change is recorded\n" {
		t.Errorf("an hour ago: status %d, %q, %q", status, stdout, stderr)
	}
}

func TestLogSaysThatATimeIsYesterdays(t *testing.T) {
	dir, now := t.TempDir(), time.Now().UTC()
	at := now.Add(time.Hour)
	_, _, stderr := run(t.Context(), "log", "--dir", dir, "--since", at.Format("15:04 UTC"))
	if at.Day() != now.Day() { // no later hour of today is left: it was in the first one
		if strings.Contains(stderr, "yesterday") {
			t.Error(stderr)
		}
		return
	}
	wantText(t, stderr, "--since "+at.Format("15:04 UTC")+" is yesterday's, "+at.AddDate(0, 0, -1).Format("2006-01-02 15:04:00 UTC")+": today's is in the future\n")
}

// Whoever copies the time of a change from log means the state with that change.
func TestTimeThatLogPrintsIsThatOfTheChange(t *testing.T) {
	b := newJournalBed(t)
	b.cluster(t)
	b.save(t, "base")
	stop := b.record(t)
	b.written(t, b.put(t, "k", "begin"))
	var revisions []int64
	for i := range 5 {
		revisions = append(revisions, b.put(t, "k", fmt.Sprint(i)))
		b.written(t, revisions[i])
		time.Sleep(2 * time.Millisecond) // log shows milliseconds
	}
	stop()
	for i, line := range strings.Split(strings.TrimSpace(b.want(t, "log", "--since", fmt.Sprint(revisions[0]))), "\n") {
		at, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if i < len(revisions)-1 { // the journal ends at the last one
			if got := b.want(t, "get", "k", "--at", at); got != fmt.Sprint(i) {
				t.Errorf("--at %s: %q, want %d", at, got, i)
			}
		}
		wantLog(t, b.want(t, "log", "--since", at, "--until", at), change(revisions[i], "put", "k"))
	}
}

func TestLogReportsGapsAndDamage(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	one := b.put(t, "one", "1")
	b.written(t, one)
	stop()
	lost := b.put(t, "lost", "")
	b.put(t, "seen", "")
	stop = b.record(t)
	two := b.put(t, "two", "2")
	b.written(t, two)
	stop()
	status, stdout, stderr := run(t.Context(), "log", "--dir", b.dir)
	if status != 0 || stderr != fmt.Sprintf("warning: the journal has a gap: no revisions from %d to %d\n", lost, lost) {
		t.Errorf("status %d, %q", status, stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	wantLog(t, strings.Join(lines[len(lines)-3:], "\n"), change(one, "put", "one"), change(two-1, "put", "seen"), change(two, "put", "two"))

	damaged := b.complete(t)[0]
	b.flip(t, damaged)
	status, stdout, stderr = run(t.Context(), "log", "--dir", b.dir)
	if status != exitDamaged {
		t.Errorf("status %d", status)
	}
	wantText(t, stderr, "warning: the changes in "+damaged+" are missing here: ", "damaged")
	wantNamedOnce(t, stderr, damaged)
	wantLog(t, stdout, change(two-1, "put", "seen"), change(two, "put", "two"))

	_, asJSON, stderr := run(t.Context(), "log", "--dir", b.dir, "--output", "json")
	first, _, _ := strings.Cut(asJSON, "\n")
	var w struct{ Warning string }
	must(t, json.Unmarshal([]byte(first), &w))
	if warned, _, _ := strings.Cut(stderr, "\n"); w.Warning == "" || warned != "warning: "+w.Warning {
		t.Errorf("the first line as JSON is %q, and on stderr %q", w.Warning, warned)
	}
}

// continuous writes segments of 10 revisions, one in each second, and returns their names.
func continuous(t *testing.T, dir string, begun time.Time, firsts ...int64) (names []string) {
	t.Helper()
	before := ""
	for _, first := range firsts {
		n, data := storetest.Segment(t, storetest.SegmentOf{
			Node: "n1", Cluster: 0xa, Begun: begun.Add(time.Duration(first) * time.Second), First: first, Last: first + 9, Before: before,
		})
		must(t, os.WriteFile(filepath.Join(dir, n.String()), data, 0o600))
		s, err := journal.Open(bytes.NewReader(data), int64(len(data)))
		must(t, err)
		names, before = append(names, n.String()), s.LastDigest
	}
	return names
}

// What is missing in the range is reported also if no change of the journal is in it, and nothing that is missing elsewhere.
func TestLogReportsTheGapThatTheRangeIsIn(t *testing.T) {
	dir, begun := t.TempDir(), time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour)
	keys := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(keys, []byte("key"), 0o600))
	continuous(t, dir, begun, 101, 111, 151, 161)
	second := func(n int) string { return begun.Add(time.Duration(n) * time.Second).Format(time.RFC3339) }
	const gap = "the journal has a gap: no revisions from 121 to 150"
	for _, c := range []struct {
		since, until string
		gap          bool
		changes      int
	}{
		{"130", "131", true, 0},
		{"121", "121", true, 0},
		{"150", "150", true, 0},
		{"150", "151", true, 1},
		{"120", "121", true, 1},
		{"130", "165", true, 15},
		{"130", "", true, 20},
		{"", "130", true, 20},
		{second(130), second(131), true, 0},
		{second(130), "155", true, 5},
		{"115", second(130), true, 6},
		{"151", "165", false, 15},
		{"105", "120", false, 16},
		{"162", "", false, 9},
		{second(105), second(115), false, 11},
		{second(155), second(165), false, 11},
	} {
		args := []string{"log", "--dir", dir, "--since", c.since, "--until", c.until}
		if c.since == "" {
			args = slices.Delete(args, 3, 5)
		}
		if c.until == "" {
			args = args[:len(args)-2]
		}
		status, stdout, stderr := run(t.Context(), args...)
		if warned := strings.Count(stderr, "warning: "+gap+"\n"); status != 0 || (warned == 1) != c.gap || strings.Count(stderr, "warning: ") != warned || strings.Count(stdout, "\n") != c.changes {
			t.Errorf("%q: status %d, %q, %s", args, status, stderr, stdout)
		}
	}
	_, stdout, _ := run(t.Context(), "log", "--dir", dir, "--since", "130", "--until", "131", "--output", "json")
	if stdout != `{"warning":"`+gap+`"}`+"\n" {
		t.Errorf("JSON: %q", stdout)
	}
	_, _, stderr := run(t.Context(), "log", "--dir", dir, "--since", "130", "--until", "131", "--s3-bucket", "backups", "--s3-folder", "c", "--s3-endpoint", "http://127.0.0.1:1", "--s3-access-key-file", keys, "--s3-secret-key-file", keys)
	if want := "warning: " + gap + " in " + dir + "; the bucket was not read: --from all reads both\nno such change is recorded\n"; stderr != want {
		t.Errorf("with a bucket: %q, want %q", stderr, want)
	}
}

// A damaged segment is reported once: with its own words, not as a gap, and not by the error either.
func TestLogReportsDamageOnce(t *testing.T) {
	dir, begun := t.TempDir(), time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour)
	keys := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(keys, []byte("key"), 0o600))
	damaged := continuous(t, dir, begun, 101, 111, 121)[1]
	path := filepath.Join(dir, damaged)
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
	status, stdout, stderr := run(t.Context(), "log", "--dir", dir, "--s3-bucket", "backups", "--s3-folder", "c", "--s3-endpoint", "http://127.0.0.1:1", "--s3-access-key-file", keys, "--s3-secret-key-file", keys)
	if status != exitDamaged || strings.Count(stdout, "\n") != 20 || strings.Count(stderr, "\n") != 2 || strings.Count(stderr, damaged) != 1 {
		t.Errorf("status %d, %q; %s", status, stderr, stdout)
	}
	wantText(t, stderr, "warning: the changes in "+damaged+" are missing here: ", "; the bucket was not read: --from all reads both\n", "damaged: not all changes could be read\n")
	if status, _, stderr := run(t.Context(), "log", "--dir", dir, "--since", "125"); status != 0 || stderr != "" {
		t.Errorf("behind it: status %d, %q", status, stderr)
	}
}

// wantNamedOnce demands that each line that names a segment does so once.
func wantNamedOnce(t *testing.T, text, segment string) {
	t.Helper()
	if !strings.Contains(text, segment) {
		t.Errorf("it does not name %s: %s", segment, text)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Count(line, segment) > 1 {
			t.Errorf("it names the segment again and again: %s", line)
		}
	}
}

// Only the segments in which changes of the time or of the revisions may be are read.
func TestLogSkipsSegmentsOfOtherTimes(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	last := b.put(t, "k", "1")
	b.written(t, last)
	stop()
	name := b.complete(t)[0]
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	must(t, err)
	for _, old := range []string{"journal_n1_20250101T000000Z_1000-2000.jnl.zst", "journal_n1_20250101T000100Z_2001-2500.jnl.zst", "journal_n1_20250101T000200Z_2501-3000.jnl.zst"} {
		must(t, os.WriteFile(filepath.Join(b.dir, old), data[:len(data)-1], 0o600))
	}
	for i, c := range []struct {
		args    []string
		damaged int
	}{
		{nil, 3},
		{[]string{"--since", "2025-01-01T00:01:30Z"}, 2},
		{[]string{"--since", "2025-01-01T00:02:30Z"}, 1},
		{[]string{"--until", "2025-01-01T00:00:30Z"}, 1},
		{[]string{"--since", "2501"}, 1},
		{[]string{"--since", "2001", "--until", "2500"}, 1},
	} {
		_, _, stderr := run(t.Context(), append([]string{"log", "--dir", b.dir}, c.args...)...)
		if got := strings.Count(stderr, "warning: "); got != c.damaged {
			t.Errorf("case %d: %d segments were read: %s", i, got, stderr)
		}
	}
}

func TestLogWithoutJournalSaysHowToHaveOne(t *testing.T) {
	dir := t.TempDir()
	status, stdout, stderr := run(t.Context(), "log", "--dir", dir)
	if status != 0 || stdout != "" || !strings.Contains(stderr, "no journal in "+dir+": the daemon writes one with --journal") {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}

// A cluster that was restored and kept its ID has no gap, wherever it goes on.
func TestLogReportsARestoreThatKeptTheID(t *testing.T) {
	for name, x := range map[string]struct {
		first     int64
		restored  bool
		raftIndex uint64 // of a snapshot after it; the one before has 10
		want      string
	}{
		"beyond the old revisions, while the daemon was away": {150, true, 20, "the cluster was restored: what follows is of cluster a from revision 150 on"},
		"with the next revision":                              {111, false, 20, "the cluster was restored: what follows is of cluster a from revision 111 on"},
		"with an old revision":                                {105, false, 20, "the cluster was restored: what follows is of cluster a from revision 105 on"},
		"beyond, and a lower raft index says so":              {150, false, 5, "the cluster was restored: what follows is of cluster a from revision 150 on"},
		"no restore":                                          {150, false, 20, "the journal has a gap: no revisions from 111 to 149"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, begun := t.TempDir(), time.Now().UTC().Truncate(time.Hour)
			for i, of := range []storetest.SegmentOf{{First: 101, Last: 110}, {First: x.first, Last: x.first + 9, Before: "of another history", Restored: x.restored, Value: "other"}} {
				of.Node, of.Cluster, of.Begun = "n1", 0xa, begun.Add(time.Duration(i)*time.Minute)
				n, data := storetest.Segment(t, of)
				must(t, os.WriteFile(filepath.Join(dir, n.String()), data, 0o600))
			}
			for raftIndex, at := range map[uint64]time.Time{10: begun, x.raftIndex: begun.Add(50 * time.Second)} {
				n, err := snapshot.NewName(snapshot.RollingSet, "n1", at)
				must(t, err)
				of := snapshot.Source{ClusterID: 0xa, Revision: 100, RaftIndex: raftIndex, Healthy: true}
				if raftIndex == x.raftIndex {
					of.Revision = x.first - 1
				}
				must(t, os.WriteFile(filepath.Join(dir, n.String()), storetest.ArchiveOf(t, n, of), 0o600))
			}
			status, stdout, stderr := run(t.Context(), "log", "--dir", dir)
			if status != 0 || stderr != "warning: "+x.want+"\n" || strings.Count(stdout, "\n") != 20 {
				t.Errorf("status %d, %q; %s", status, stderr, stdout)
			}
		})
	}
}
