package daemon_test

import (
	"context"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
)

// drillSettings are those of a test; an empty schedule means none.
func (b *bed) drillSettings(spec string, from status.Place) daemon.DrillSettings {
	b.t.Helper()
	s := daemon.DrillSettings{From: from}
	if spec != "" {
		s.Schedule = parse(b.t, spec, 0, node)
	}
	return s
}

// reloadsDrills lets a reload give these settings of the drills so long after the origin.
func (b *bed) reloadsDrills(at time.Duration, spec string, from status.Place) {
	b.t.Helper()
	hangups := make(chan os.Signal, 1)
	b.opts.Hangups = hangups
	b.at(at, func() { hangups <- syscall.SIGHUP })
	s := daemon.Settings{Schedule: b.opts.Schedule, Policy: b.opts.Policy, Drill: b.drillSettings(spec, from)}
	b.opts.Reload = func(context.Context) (daemon.Settings, error) { return s, nil }
}

func TestReloadedDrillScheduleCountsFromTheLastDrill(t *testing.T) {
	const local, s3 = status.Local, status.S3
	hours := func(all ...float64) (out []time.Duration) {
		for _, h := range all {
			out = append(out, time.Duration(h*float64(time.Hour)))
		}
		return out
	}
	for _, tc := range []struct {
		name, before, after string
		from                status.Place
		want                []time.Duration // after the one at the start, until 9 hours have passed
	}{
		{"a missed drill is done immediately", "0 3 2 * *", "@every 2h", local, hours(4.5, 6.5, 8.5)},
		{"a later drill", "@every 3h", "@every 5h", local, hours(3, 8)},
		{"the same settings", "@every 4h", "@every 4h", local, hours(4, 8)},
		{"switched off", "@every 3h", "", local, hours(3)},
		{"switched on", "", "@every 2h", local, hours(4.5, 6.5, 8.5)},
		{"another place", "@every 24h", "@every 24h", s3, hours(4.5)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				d := newDrills(b, "@daily")
				d.takes = 0
				b.opts.Drill.DrillSettings = b.drillSettings(tc.before, local)
				b.reloadsDrills(4*time.Hour+30*time.Minute, tc.after, tc.from)
				b.runFor(9 * time.Hour)
				begun := d.begun
				if tc.before != "" {
					begun = begun[1:]
				}
				rounded := make([]time.Duration, len(begun))
				for i, at := range begun {
					rounded[i] = at.Truncate(time.Minute)
				}
				if !slices.Equal(rounded, tc.want) {
					t.Errorf("drills began at %v, want %v", begun, tc.want)
				}
				if last := d.from[len(d.from)-1]; last != tc.from {
					t.Errorf("the last drill was of a snapshot %s, want %s", last.In(), tc.from.In())
				}
				s := b.status.State()
				if on := tc.after != ""; s.Enabled[status.Drill] != on || s.Enabled[status.Verify] != on || s.DrillFrom != tc.from || s.Jobs[status.Drill].Next.IsZero() == on {
					t.Errorf("the state says: enabled %v, from %s, %+v", s.Enabled, s.DrillFrom, s.Jobs[status.Drill])
				}
			})
		})
	}
}

// A drill that failed is repeated when it was to be, also with a new schedule, and the failure is not forgotten.
func TestReloadKeepsTheFailureOfADrill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		d.takes, d.end = 0, always(errStart)
		b.reloadsDrills(30*time.Minute, "@monthly", status.Local)
		b.at(45*time.Minute, func() {
			if !b.status.State().DrillFailed() {
				t.Error("the failure is forgotten")
			}
		})
		b.runFor(90 * time.Minute)
		if len(d.begun) != 2 || d.begun[1]-d.begun[0] != time.Hour {
			t.Errorf("drills began at %v, want two, an hour apart", d.begun)
		}
	})
}

// A drill under way ends with the settings that it began with.
func TestReloadWaitsForTheEndOfTheDrill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		d := newDrills(b, "@weekly")
		d.takes = 20 * time.Minute
		b.reloadsDrills(10*time.Minute, "", status.Local)
		b.runFor(2 * time.Hour)
		if j := b.job(status.Drill); len(d.begun) != 1 || j.Success.IsZero() || j.Running {
			t.Errorf("drills began at %v: %+v", d.begun, j)
		}
		b.wantLines(atInfo, "started; no snapshot on the disk, taking one now", msgSaved, "restore drill passed", "restore drills are switched off", "stopped")
	})
}
