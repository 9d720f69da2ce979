package daemon_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
)

func hours(from, to int) []time.Duration {
	var out []time.Duration
	for h := from; h <= to; h++ {
		out = append(out, time.Duration(h)*time.Hour)
	}
	return out
}

// A fresh install at 00:10, then the full hours of a day.
func TestHourlyScheduleRunsEveryFullHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "0 * * * *")
		b.always.takes = 7 * time.Second
		time.Sleep(10 * time.Minute)
		b.runFor(24 * time.Hour)

		b.wantRuns(append([]time.Duration{10 * time.Minute}, hours(1, 24)...)...)
		want := []string{msgFresh}
		for range b.begun {
			want = append(want, msgSaved)
		}
		b.wantLines(atInfo, append(want, "stopped")...)
		b.wantLines(atWarning)
		b.wantLines(atError)
	})
}

// One line tells all of a good cycle, in fields that programs read.
func TestClosingLineHasTheFiguresOfTheCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "0 * * * *")
		b.always.takes = 7 * time.Second
		b.runFor(24*time.Hour - time.Second)
		for i, e := range b.closing(24) {
			kept, pruned := min(i+1, 3), 0
			if i >= 3 {
				pruned = 1
			}
			want := logrus.Fields{
				"run": e.Data["run"], "snapshot": fmt.Sprintf("rolling_node-a_20000101T%02d0000Z.db.zst", i),
				"revision": int64(42), "raw_bytes": int64(5000), "archive_bytes": int64(1000),
				"duration_seconds": 7.0, "stream_seconds": 2.0, "stream_rate": int64(2500), "sync_seconds": 0.03,
				"kept": kept, "pruned": pruned, "next": b.origin.Add(time.Duration(i+1) * time.Hour).Format(time.RFC3339),
			}
			if !maps.Equal(e.Data, want) {
				t.Errorf("line %d:\n%v, want\n%v", i, e.Data, want)
			}
		}
	})
}

// An interval that is no whole number of minutes keeps its rhythm from run to run.
func TestScheduleEvery90sKeepsItsRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@every 90s")
		b.always.takes = 20 * time.Second
		b.runFor(5 * time.Minute)
		b.wantRuns(0, 90*time.Second, 180*time.Second, 270*time.Second)
	})
}

func TestRunLongerThanTheIntervalSkipsTheMissedRuns(t *testing.T) {
	const m = time.Minute
	const skippedRuns = "run took longer than the schedule's interval; skipped the missed runs"
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "*/10 * * * *")
		// Over three runs; ending as a run is due; ending just before.
		b.run = []outcome{{}, {takes: 35 * m}, {takes: 10 * m}, {takes: 10*m - time.Second}, {}}
		b.runFor(95 * m)
		b.wantRuns(0, 10*m, 50*m, 70*m, 80*m, 90*m)
		b.wantLines(atWarning, skippedRuns, skippedRuns)
		if want := []string{"2000-01-01T00:20:00Z", "2000-01-01T01:00:00Z"}; !slices.Equal(b.missed(), want) {
			t.Errorf("missed: %v, want %v", b.missed(), want)
		}
	})
}

// Runs of any length follow each other; the bed's Take fails the test when it is entered twice.
func TestRunsNeverOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "* * * * *")
		for i := range 200 {
			b.run = append(b.run, outcome{takes: time.Duration(i*37%190) * time.Second})
		}
		b.runFor(10 * time.Hour)
		if len(b.begun) < 200 {
			t.Fatalf("%d runs, want 200 at least", len(b.begun))
		}
		for i, o := range b.run {
			end := b.begun[i] + o.takes
			want := end.Truncate(time.Minute) + time.Minute
			if b.begun[i+1] != want {
				t.Errorf("run %d ended at %s, the next began at %s, want %s", i, end, b.begun[i+1], want)
			}
		}
	})
}

func TestSkippedRunTakesAndPrunesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.err = fmt.Errorf("%w: the member is a follower", daemon.ErrSkipped)
		for h := range 5 {
			b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin.Add(-time.Duration(h+1)*time.Hour))})
		}
		b.runFor(3*time.Hour + time.Minute)
		b.wantRuns(hours(0, 3)...)
		skipped := "skipped: the member is a follower"
		b.wantLines(atInfo, msgMissed, skipped, skipped, skipped, skipped, "stopped")
		b.wantLines(atError)
		if len(b.store.removed) > 0 {
			t.Errorf("pruned %q in cycles without a snapshot", b.store.removed)
		}
	})
}

// Once, for as long as it stays the same.
func TestWarningsOfEtcdAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		first := outcome{change: func(s *snapshot.Taken) { s.Manifest.Healthy, s.Manifest.Alarms = false, []string{"NOSPACE"} }}
		b.run = []outcome{first, first, first}
		b.always.change = func(s *snapshot.Taken) { s.Manifest.Alarms = []string{"NOSPACE", "CORRUPT"} }
		b.runFor(5*time.Hour - time.Minute)
		b.closing(5)
		b.wantLines(atWarning, "member knows no leader: the cluster may have lost its quorum", "etcd raised alarms", "etcd raised alarms")
		for _, e := range b.log.AllEntries() {
			if e.Message == "etcd raised alarms" && len(e.Data) != 3 {
				t.Errorf("more than the run, its duration and the alarms: %v", e.Data)
			}
		}
	})
}
