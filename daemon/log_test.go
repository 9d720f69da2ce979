package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
)

// perLevel counts the lines.
func (b *bed) perLevel() map[string]int {
	count := map[string]int{}
	for _, e := range b.log.AllEntries() {
		count[e.Level.String()]++
	}
	return count
}

// A good day of 24 hourly cycles has 24 lines of them, one of the start and one of the end, and nothing else.
func TestGoodDayLogsOneLineACycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		newPasses(b)
		b.always.takes = 7 * time.Second
		b.runFor(24*time.Hour - time.Minute)
		b.closing(24)
		if got, want := fmt.Sprint(b.perLevel()), "map[info:26]"; got != want {
			t.Errorf("lines: %s, want %s: %q", got, want, b.lines(atInfo))
		}
	})
}

// A day without S3 has the same lines of the cycles, and of the mirror no more than one for each try.
func TestDayWithoutS3LogsOneLineATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		newPasses(b).broken = func(int) bool { return true }
		b.runFor(24*time.Hour - time.Minute)
		b.closing(24)
		got := b.perLevel()
		if got[atInfo] != 26 || got[atError] > 24*14 || len(got) != 2 {
			t.Errorf("lines: %v, want 26 of info and at most 14 errors an hour", got)
		}
	})
}

// A day without etcd has a line for each try, of which there are not many.
func TestDayWithoutEtcdLogsOneLineATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.err = errDown
		b.runFor(24*time.Hour - time.Minute)
		got := b.perLevel()
		if got[atInfo] != 2 || got[atError] != len(b.begun) || got[atError] > 24*18 || len(got) != 2 {
			t.Errorf("lines: %v of %d tries, want 2 of info and at most 18 errors an hour", got, len(b.begun))
		}
	})
}

// Each field of a line is in the documentation, and each duration is a number of seconds.
func TestLogFieldsAreDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join("..", "docs", "METRICS.md"))
		if err != nil {
			t.Fatal(err)
		}
		b := newBed(t, "*/10 * * * *")
		newPasses(b).broken = func(n int) bool { return n == 1 }
		newDrills(b, "@hourly").end = func(n int) error { return []error{nil, errDamage, daemon.ErrSkipped}[n%3] }
		b.run = []outcome{{err: errDown}, {takes: 11 * time.Minute}, {err: fmt.Errorf("%w: the leader", daemon.ErrSkipped)}}
		b.runFor(5 * time.Hour)
		b.runFor(time.Minute)
		seen := map[string]bool{}
		for _, e := range b.log.AllEntries() {
			for field, v := range e.Data {
				seen[field] = true
				if !strings.Contains(string(text), "| `"+field+"` |") {
					t.Errorf("docs/METRICS.md has no line for %s: %q", field, e.Message)
				}
				if _, is := v.(time.Duration); is {
					t.Errorf("%s of %q is in nanoseconds", field, e.Message)
				}
			}
		}
		if len(seen) < 20 {
			t.Errorf("the story has only the fields %v", seen)
		}
	})
}

// All lines of a run have its id, also those in between, and no other line has it.
func TestLinesOfARunShareAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "*/10 * * * *")
		newPasses(b).broken = func(int) bool { return true }
		b.run = []outcome{
			{says: "an endpoint does not answer"},
			{takes: 11 * time.Minute},
			{err: errDown},
			{},
			{err: fmt.Errorf("%w: the leader", daemon.ErrSkipped)},
			{says: "cut", takes: time.Hour},
		}
		b.runFor(time.Hour)
		lines := map[string][]string{}
		var order []string
		for _, e := range b.log.AllEntries() {
			id, ok := e.Data["run"].(string)
			apart := slices.Contains([]string{msgFresh, "stopped"}, e.Message)
			if ok == apart || ok && !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(id) {
				t.Errorf("%q has the run %q", e.Message, id)
			}
			if apart || e.Message == "mirroring failed; local snapshots are safe" {
				continue
			}
			if lines[id] == nil {
				order = append(order, id)
			}
			lines[id] = append(lines[id], e.Message)
		}
		want := [][]string{
			{"an endpoint does not answer", msgSaved},
			{"run took longer than the schedule's interval; skipped the missed runs", msgSaved},
			{"snapshot failed"},
			{msgSaved},
			{"skipped: the leader"},
			{"cut", msgAborted},
		}
		for i, id := range order {
			if i >= len(want) || !slices.Equal(lines[id], want[i]) {
				t.Errorf("run %d has the lines %q", i, lines[id])
			}
		}
		if len(order) != len(want) {
			t.Errorf("%d runs, want %d", len(order), len(want))
		}
	})
}
