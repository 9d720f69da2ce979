package daemon_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
)

func seconds(s ...int) []time.Duration {
	var out []time.Duration
	for _, x := range s {
		out = append(out, time.Duration(x)*time.Second)
	}
	return out
}

// From 00:10 on nothing works. Pauses grow from 5 s to 5 min until the run of 01:00 is due, which begins again with 5 s.
func TestFailedRunIsRetriedWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.err = errDown
		time.Sleep(10 * time.Minute)
		b.runFor(52 * time.Minute)
		want := seconds(600, 605, 615, 635, 675, 755, 915)
		for s := 1215; s < 3600; s += 300 {
			want = append(want, seconds(s)...)
		}
		b.wantRuns(append(want, seconds(3600, 3605, 3615, 3635, 3675)...)...)
	})
}

// The pause counts from the failure, not from the beginning of what failed.
func TestPauseCountsFromTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always = outcome{takes: 30 * time.Second, err: errDown}
		b.runFor(3 * time.Minute)
		b.wantRuns(seconds(0, 35, 75, 125)...)
	})
}

// The schedule's rhythm stays: @every counts from the run that was due and not from its last retry.
func TestRetriesDoNotShiftTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@every 15m")
		b.always.err = errDown
		b.runFor(16 * time.Minute)
		b.wantRuns(seconds(0, 5, 15, 35, 75, 155, 315, 615, 900, 905, 915, 935)...)
	})
}

func TestSuccessEndsTheRetries(t *testing.T) {
	for spec, next := range map[string]int{"@every 10m": 600, "*/10 * * * *": 600} {
		t.Run(spec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, spec)
				b.run = []outcome{{err: errDown}, {err: errDown}, {err: errDown}, {}, {err: errDown}, {}}
				b.runFor(19 * time.Minute)
				// A success ends the retries, and the pauses after the next failure begin small again.
				b.wantRuns(seconds(0, 5, 15, 35, next, next+5)...)
				b.closing(2)
			})
		})
	}
}

// Where even failing takes longer than the interval, the daemon pauses all the same.
func TestFailureLongerThanTheIntervalStillPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "* * * * *")
		b.always = outcome{takes: 90 * time.Second, err: errDown}
		b.runFor(7 * time.Minute)
		// They fail at 90, 185, 285 and 390 s. The third pause, 20 s, is cut short by the run due at 300 s.
		b.wantRuns(seconds(0, 95, 195, 300, 395)...)
		want := []string{"2000-01-01T00:01:00Z", "2000-01-01T00:02:00Z", "2000-01-01T00:04:00Z", "2000-01-01T00:06:00Z"}
		if !slices.Equal(b.missed(), want) {
			t.Errorf("missed: %v, want %v", b.missed(), want)
		}
	})
}

func TestFailureIsLoggedOnceWithItsReasonAndTheNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: 3 * time.Second, err: errDown}}
		b.runFor(time.Minute)
		b.wantLines(atError, "snapshot failed")
		for _, e := range b.log.AllEntries() {
			if e.Level.String() != atError {
				continue
			}
			if err, _ := e.Data["error"].(error); !errors.Is(err, errDown) || e.Data["reason"] != "unreachable" || e.Data["next"] != "2000-01-01T00:00:08Z" || e.Data["duration_seconds"] != 3.0 {
				t.Errorf("fields: %v", e.Data)
			}
		}
	})
}

// A skipped run is no failure: it ends the retries, and the next one starts with small pauses.
func TestSkippedRunEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{err: errDown}, {err: errDown}, {err: daemon.ErrSkipped}, {err: errDown}, {}}
		b.runFor(70 * time.Minute)
		b.wantRuns(seconds(0, 5, 15, 3600, 3605)...)
	})
}

// A whole day without etcd costs no snapshot that is there.
func TestFailedCyclePrunesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.err = errDown
		for h := range 10 {
			b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin.Add(-time.Duration(h)*time.Hour))})
		}
		there := b.store.names()
		b.runFor(24 * time.Hour)
		if len(b.begun) < 24*15 {
			t.Errorf("%d runs in a day, want 15 an hour", len(b.begun))
		}
		if got := b.store.names(); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(there))) {
			t.Errorf("left: %q, want all of %q", got, there)
		}
	})
}
