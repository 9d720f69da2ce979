package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

type emptyStore struct{}

func (emptyStore) List() (snapshot.Listing, error)                   { return snapshot.Listing{}, nil }
func (emptyStore) Remove(context.Context, snapshot.Name) error       { return nil }
func (emptyStore) RemoveBroken(context.Context, snapshot.Name) error { return nil }
func (emptyStore) RemovePartials(context.Context) ([]string, error)  { return nil, nil }

func (emptyStore) Quarantine(context.Context, snapshot.Name) (bool, error) { return false, nil }
func (emptyStore) VerifyChecksum(context.Context, snapshot.Name, func(int64, int64)) error {
	return nil
}

func (emptyStore) Manifest(snapshot.Name) (snapshot.Manifest, error) {
	return snapshot.Manifest{}, nil
}

type takerFunc func() (snapshot.Taken, error)

func (f takerFunc) Take(context.Context, logrus.FieldLogger, func()) (snapshot.Taken, error) {
	return f()
}

// The wall clock is set 20 minutes after the start; the time that really passes goes on. Runs are due by the wall
// clock, so a clock set forward brings the next run immediately, and one set back never delays it.
func TestClockThatIsSetDelaysNoRun(t *testing.T) {
	const m = time.Minute
	for _, tc := range []struct {
		name string
		spec string
		by   time.Duration
		want []time.Duration // in the time that really passed, to the next look at the clock
	}{
		{"stays", "@hourly", 0, []time.Duration{0, 60 * m, 120 * m}},
		{"a minute forward", "@hourly", m, []time.Duration{0, 59 * m, 119 * m}},
		{"over the run", "@hourly", 50 * m, []time.Duration{0, 20 * m, 70 * m, 130 * m}},
		{"a year forward, as at boot", "@hourly", 365 * 24 * 60 * m, []time.Duration{0, 20 * m, 60 * m, 120 * m}},
		{"a minute back", "@hourly", -m, []time.Duration{0, 61 * m, 121 * m}},
		{"before the last run", "@hourly", -30 * m, []time.Duration{0, 30 * m, 90 * m, 150 * m}},
		{"a year back", "@hourly", -365 * 24 * 60 * m, []time.Duration{0, 60 * m, 120 * m}},
		{"a year back, @every", "@every 15m", -365 * 24 * 60 * m, []time.Duration{0, 15 * m, 35 * m, 50 * m, 65 * m, 80 * m, 95 * m, 110 * m, 125 * m, 140 * m, 155 * m}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := ParseSchedule(tc.spec, 0, "a")
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var begun []time.Duration
				log, _ := logtest.NewNullLogger()
				d := New(Options{
					Node: "a", Schedule: s, Policy: retention.Policy{Last: 1}, Store: emptyStore{}, Log: log,
					Taker: takerFunc(func() (snapshot.Taken, error) {
						begun = append(begun, time.Since(start))
						return snapshot.Taken{}, nil
					}),
				})
				d.clock = func() time.Time {
					if time.Since(start) < 20*m {
						return wallClock()
					}
					return wallClock().Add(tc.by)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 165*m)
				defer cancel()
				if err := d.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if len(begun) != len(tc.want) {
					t.Fatalf("runs at %v, want %v", begun, tc.want)
				}
				for i, at := range begun {
					if late := at - tc.want[i]; late < 0 || late > lookInterval {
						t.Errorf("run %d at %s, want %s and %s at most later", i, at, tc.want[i], lookInterval)
					}
				}
			})
		})
	}
}
