package daemon_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// losing takes a snapshot each hour, of which the policy keeps one, of an etcd that loses something after the third.
type losing struct{ *bed }

// newLosing makes one; lose changes the snapshot of that hour.
func newLosing(t *testing.T, lose func(hour int, m *snapshot.Manifest)) losing {
	t.Helper()
	b := newBed(t, "@hourly")
	b.opts.Policy.Last = 1
	b.always.change = func(x *snapshot.Taken) {
		x.Manifest.Keys, x.Manifest.DBSizeInUse = snapshot.Counted(1000), 4<<20
		lose(len(b.begun)-1, &x.Manifest)
	}
	return losing{b}
}

// run is one life of a daemon. It demands the snapshots of these hours, so many kept by the guard as the last line has it, and the problems.
func (l losing) run(how time.Duration, guarded int, problems []status.Code, hours ...int) {
	l.t.Helper()
	l.runFor(how)
	after := time.Since(l.origin)
	if got, want := l.store.names(), l.hourly(hours...); !slices.Equal(got, want) {
		l.t.Errorf("after %s there are %q, want %q", after, got, want)
	}
	var last any = 0
	for _, e := range l.log.AllEntries() {
		if e.Message == msgSaved {
			last = e.Data["guarded"]
		}
	}
	if n, _ := last.(int); n != guarded || last == 0 {
		l.t.Errorf("after %s the log has guarded=%v, want %d", after, last, guarded)
	}
	if got := l.codes(); !slices.Equal(got, problems) {
		l.t.Errorf("after %s problems %q, want %q", after, got, problems)
	}
}

// The last snapshot from before the loss and the first after it outlive their policy by 23.5 h, also when all that is remembered is lost.
func TestGuardKeepsWhatCameBeforeALossForADay(t *testing.T) {
	for name, tc := range map[string]struct {
		lose     func(m *snapshot.Manifest)
		problems []status.Code
	}{
		"shrunk":      {func(m *snapshot.Manifest) { m.RawSize = 2499 }, []status.Code{status.CodeShrank}},
		"rewound":     {func(m *snapshot.Manifest) { m.Revision = 41 }, []status.Code{status.CodeRevisionFell}},
		"deleted":     {func(m *snapshot.Manifest) { m.Keys = snapshot.Counted(0) }, []status.Code{status.CodeKeysFell}},
		"compacted":   {func(m *snapshot.Manifest) { m.DBSizeInUse = 1 << 20 }, []status.Code{status.CodeInUseFell}},
		"both":        {func(m *snapshot.Manifest) { m.RawSize, m.Revision = 1000, 7 }, []status.Code{status.CodeRevisionFell}},
		"half of it":  {func(m *snapshot.Manifest) { m.RawSize = 2500 }, nil},
		"more of all": {func(m *snapshot.Manifest) { m.RawSize, m.Revision = 9000, 99 }, nil},
	} {
		for _, forgets := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", forgets ", forgets), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLosing(t, func(hour int, m *snapshot.Manifest) {
						if hour > 2 {
							tc.lose(m)
						}
					})
					n, kept := func(n int) int { return n }, func(hours ...int) []int { return hours }
					if tc.problems == nil {
						n, kept = func(int) int { return 0 }, func(hours ...int) []int { return hours[:1] }
					}
					next := func() {
						if forgets {
							clear(l.notes.files)
						}
					}
					l.run(2*time.Hour+time.Minute, 0, nil, 2)
					next()
					l.run(time.Hour, n(1), tc.problems, kept(3, 2)...)
					next()
					l.run(10*time.Minute, n(1), tc.problems, kept(3, 2)...)
					next()
					later := tc.problems
					if !slices.Equal(later, []status.Code{status.CodeKeysFell}) { // which lasts as long as the guard
						later = nil
					}
					l.run(time.Hour, n(2), later, kept(4, 3, 2)...)
					next()
					l.run(22*time.Hour, n(2), later, kept(26, 3, 2)...)
					next()
					l.run(time.Hour, 0, nil, 27)
				})
			})
		}
	}
}

// A second loss takes nothing away from the snapshot before the first.
func TestGuardKeepsTheLargestOfTwoLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLosing(t, func(hour int, m *snapshot.Manifest) {
			switch {
			case hour > 5:
				m.RawSize = 1000
			case hour > 2:
				m.RawSize = 2400
			}
		})
		shrank := []status.Code{status.CodeShrank}
		l.run(5*time.Hour+time.Minute, 2, nil, 5, 3, 2)
		l.run(time.Hour, 2, shrank, 6, 5, 2)
		l.run(time.Hour, 3, nil, 7, 6, 5, 2)
		l.run(21*time.Hour, 3, nil, 28, 6, 5, 2)
		l.run(time.Hour, 2, nil, 29, 6, 5)
		l.run(time.Hour, 0, nil, 30)
	})
}

// A listing that fails during the loss takes nothing away either.
func TestGuardKeepsAllWhileTheDirectoryCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLosing(t, func(hour int, m *snapshot.Manifest) {
			if hour > 2 {
				m.RawSize = 1000
			}
		})
		l.at(2*time.Hour+50*time.Minute, func() { l.store.fail(errors.New("input/output error")) })
		l.at(3*time.Hour+10*time.Minute, func() { l.store.fail(nil) })
		l.run(4*time.Hour+time.Minute, 2, nil, 4, 3, 2)
	})
}

// A loss is a problem for an hour and compared for a day, also when the large one stays, as one that was saved manually does.
func TestLossIsNoProblemAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLosing(t, func(hour int, m *snapshot.Manifest) {
			if hour > 2 {
				m.RawSize = 1000
			}
		})
		l.at(150*time.Minute, func() {
			l.store.add(snapshot.Entry{Name: name(t, "by-hand", node, l.origin.Add(150*time.Minute)), Size: 1}) // of 5000 bytes
		})
		l.runFor(3*time.Hour + time.Minute)
		if got := l.codes(); !slices.Equal(got, []status.Code{status.CodeShrank}) {
			t.Errorf("problems %q", got)
		}
		for range 4 {
			l.runFor(20 * time.Hour)
		}
		if c, ok := l.status.State().Compare(retention.GuardWindow, time.Now()); !ok || c.Shrank() || len(l.codes()) > 0 {
			t.Errorf("three days later the newest is compared with %+v, problems %q", c, l.codes())
		}
		if got := l.store.names(); len(got) != 2 {
			t.Errorf("there are %q", got)
		}
	})
}
