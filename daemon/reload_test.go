package daemon_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
)

// reloads lets a reload give these settings so long after the origin; a schedule that is empty is an error.
func (b *bed) reloads(at time.Duration, spec string, last int) {
	b.t.Helper()
	if b.opts.Reload == nil {
		hangups := make(chan os.Signal, 1)
		b.opts.Hangups = hangups
		b.hangUp = func() { hangups <- syscall.SIGHUP }
	}
	b.at(at, func() {
		b.spec, b.last = spec, last
		b.hangUp()
	})
	b.opts.Reload = func(context.Context) (daemon.Settings, error) {
		if b.spec == "" {
			return daemon.Settings{}, errors.New("line 1: unknown key")
		}
		return daemon.Settings{Schedule: parse(b.t, b.spec, 0, node), Policy: retention.Policy{Last: b.last}}, nil
	}
}

func TestReloadedScheduleCountsFromTheLastRun(t *testing.T) {
	for _, tc := range []struct {
		name, before, after string
		at                  time.Duration
		end                 time.Duration
		want                []time.Duration
	}{
		{"a sooner run", "@daily", "@every 30m", 20 * time.Minute, 61 * time.Minute, seconds(0, 1800, 3600)},
		{"a missed run is done immediately", "@daily", "@hourly", 150 * time.Minute, 181 * time.Minute, seconds(0, 9000, 10800)},
		{"a later run", "@hourly", "@daily", 10 * time.Minute, 25 * time.Hour, seconds(0, 86400)},
		{"the same schedule", "@every 1h", "@every 1h", 50 * time.Minute, 121 * time.Minute, seconds(0, 3600, 7200)},
		{"a wrong file", "@hourly", "", 10 * time.Minute, 61 * time.Minute, seconds(0, 3600)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, tc.before)
				b.reloads(tc.at, tc.after, 3)
				b.runFor(tc.end)
				b.wantRuns(tc.want...)
			})
		})
	}
}

// @every would never have a run if each reload began to count again.
func TestFrequentReloadsDoNotDelayTheRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@every 1h")
		for i := range 12 {
			b.reloads(time.Duration(i+1)*20*time.Minute, []string{"@every 1h", "@every 61m"}[i%2], 3)
		}
		b.runFor(3*time.Hour + 10*time.Minute)
		if n := len(b.begun); n != 4 {
			t.Errorf("%d runs in three hours, want 4: %v", n, b.begun)
		}
	})
}

// A retry is due when it was, unless the new schedule has a run before.
func TestReloadKeepsTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		b.always.err = errDown
		b.reloads(17*time.Second, "@every 1m", 3)
		b.runFor(61 * time.Second)
		b.wantRuns(seconds(0, 5, 15, 35, 60)...)
	})
}

// The run under way ends with the policy that it began with, and the next one has the new one.
func TestReloadWaitsForTheEndOfTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always = outcome{takes: 10 * time.Minute}
		b.reloads(3*time.Hour+5*time.Minute, "@hourly", 1)
		b.runFor(3*time.Hour + 30*time.Minute)
		b.wantRuns(seconds(0, 3600, 7200, 10800)...)
		if n := len(b.store.names()); n != 3 {
			t.Errorf("%d snapshots, want the 3 of the old policy", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.reloads(2*time.Hour+30*time.Minute, "@hourly", 1)
		b.runFor(3*time.Hour + 30*time.Minute)
		if n := len(b.store.names()); n != 1 {
			t.Errorf("%d snapshots, want the one of the new policy", n)
		}
	})
}
