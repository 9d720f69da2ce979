package command

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Between two snapshots, the state at each moment is that which etcd had.
func TestLookAtAMomentOfTheJournal(t *testing.T) {
	b := newJournalBed(t)
	b.cluster(t)
	stop := b.record(t)
	b.save(t, "first")
	one := b.put(t, "k", "one")
	b.written(t, one)
	between := time.Now()
	two := b.put(t, "k", "two")
	gone := b.remove(t, "/registry/configmaps/shop/settings")
	b.written(t, gone)
	for at, want := range map[string]string{
		fmt.Sprint(one): "one", fmt.Sprint(two): "two", between.Format(time.RFC3339Nano): "one", "latest": "two",
	} {
		if got := b.want(t, "get", "k", "--at", at); got != want {
			t.Errorf("at %s: %q, want %q", at, got, want)
		}
	}
	stop()
	b.save(t, "second")
	if got := b.want(t, "get", "k", "--at", fmt.Sprint(one)); got != "one" {
		t.Errorf("behind the newest snapshot: %q", got)
	}
	status, stdout, stderr := run(t.Context(), "get", "cm", "settings", "-n", "shop", "--dir", b.dir, "--at", fmt.Sprint(gone-1))
	if status != 0 || !strings.Contains(stdout, "color: blue") || !strings.Contains(stderr, fmt.Sprintf("continued by the journal to revision %d, received ", gone-1)) {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	wantText(t, b.want(t, "ls", "/registry/configmaps/", "--at", fmt.Sprint(gone-1)), "/registry/configmaps/shop/settings")
	wantText(t, b.want(t, "export", "cm", "settings", "-n", "shop", "--at", fmt.Sprint(gone-1)), "color: blue")
	wantText(t, b.want(t, "diff", "latest", "live", "--at", fmt.Sprint(one), "--endpoints", b.endpoint), "- /registry/configmaps/shop/settings", `~ k`, `"one" -> "two"`)
	b.refused(t, exitUsage, []string{"--at and --revision"}, "get", "k", "--at", "5", "--revision", "5")
	b.refused(t, exitUsage, []string{`--at: "noon" is not a moment`}, "ls", "--at", "noon")
	if status, _, stderr := run(t.Context(), "get", "k", "--dir", b.dir, "--at", "1000000"); status == 0 || !strings.Contains(stderr, "1000000") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("a revision that does not exist yet: status %d, %s", status, stderr)
	}
}

// What shows the last value of a key that was deleted keeps to the state that --at means, not to the newest snapshot's.
func TestLastValueBehindTheJournalIsProposedWithAt(t *testing.T) {
	b := newJournalBed(t)
	early := b.put(t, "early", "1")
	earlyGone := b.remove(t, "early")
	stop := b.record(t)
	b.save(t, "base")
	b.put(t, "k", "one")
	gone := b.remove(t, "k")
	end := b.put(t, "other", "x")
	b.written(t, end)
	stop()
	for key, last := range map[string]string{"k": fmt.Sprintf("--at %d", gone-1), "early": fmt.Sprintf(`--snapshot base_\S+ --revision %d`, early)} {
		status, _, stderr := run(t.Context(), "get", key, "--dir", b.dir, "--at", fmt.Sprint(end))
		proposed := regexp.MustCompile(`: (` + last + `) shows its last value\n$`).FindStringSubmatch(stderr)
		if status != 1 || proposed == nil {
			t.Errorf("%s: status %d, %q, want %s", key, status, stderr, last)
			continue
		}
		if got, want := b.want(t, append([]string{"get", key}, strings.Fields(proposed[1])...)...), map[string]string{"k": "one", "early": "1"}[key]; got != want {
			t.Errorf("%s: %q, want %q", proposed[1], got, want)
		}
	}
	wantText(t, b.want(t, "ls", "", "--deleted", "--at", fmt.Sprint(end)), "DELETED   GET ", fmt.Sprint(earlyGone), " --snapshot base_", fmt.Sprint(gone), fmt.Sprintf(" --at %d ", gone-1))
	wantText(t, b.want(t, "get", "early", "--at", "base", "--revision", fmt.Sprint(early)), "1")
}
