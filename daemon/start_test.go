package daemon_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/snapshot"
)

const (
	msgFresh  = "started; no snapshot on the disk, taking one now"
	msgMissed = "started; a run was missed, taking a snapshot now"
	msgWaits  = "started"
)

// The daemon starts at 00:20 with an hourly schedule; ages are those of snapshots then.
func TestStartTakesASnapshotIfARunWasMissed(t *testing.T) {
	type there struct {
		set, node string
		age       time.Duration
	}
	mine := func(age time.Duration) there { return there{snapshot.RollingSet, node, age} }
	const m, now, later = time.Minute, 20 * time.Minute, time.Hour
	for _, tc := range []struct {
		name  string
		there []there
		first time.Duration
		says  string
	}{
		{"fresh install", nil, now, msgFresh},
		{"taken by the last run", []there{mine(20 * m)}, later, msgWaits},
		{"taken since the last run", []there{mine(m)}, later, msgWaits},
		{"taken this very moment", []there{mine(0)}, later, msgWaits},
		{"a second before the last run", []there{mine(20*m + time.Second)}, now, msgMissed},
		{"a week old", []there{mine(7 * 24 * 60 * m)}, now, msgMissed},
		{"the newest counts", []there{mine(500 * m), mine(5 * m), mine(100 * m)}, later, msgWaits},
		{"only one of the future", []there{mine(-10000 * m)}, now, msgFresh},
		{"an old one and one of the future", []there{mine(90 * m), mine(-10000 * m)}, now, msgMissed},
		{"a new one and one of the future", []there{mine(10 * m), mine(-10000 * m)}, later, msgWaits},
		{"another node's", []there{{snapshot.RollingSet, "node-b", m}, {snapshot.RollingSet, "node-a-b", m}}, now, msgFresh},
		{"another set's", []there{{snapshot.ManualSet, node, m}, {"before-upgrade", node, m}}, now, msgFresh},
		{"others next to an old one", []there{{snapshot.ManualSet, node, m}, mine(120 * m)}, now, msgMissed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				time.Sleep(now)
				for _, x := range tc.there {
					b.store.add(snapshot.Entry{Name: name(t, x.set, x.node, time.Now().Add(-x.age))})
				}
				b.runFor(55 * m)
				// Whatever was there, runs go on.
				b.wantRuns(slices.Compact([]time.Duration{tc.first, later})...)
				if said := b.lines(atInfo); !slices.Contains(said[:1], tc.says) {
					t.Errorf("first line %q, want %q", said[:1], tc.says)
				}
			})
		})
	}
}

func TestStartEvery15mCountsFromTheNewestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@every 15m")
		b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, time.Now().Add(-4*time.Minute))})
		b.runFor(50 * time.Minute)
		b.wantRuns(11*time.Minute, 26*time.Minute, 41*time.Minute)
	})
}

func TestStartWithJitterWaitsForTheNodesOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Schedule = parse(t, "@hourly", 30*time.Minute, node)
		by := share(t, 30*time.Minute, node)
		b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, time.Now().Add(by-time.Hour))})
		b.runFor(2 * time.Hour)
		b.wantRuns(by, by+time.Hour)
	})
}

// A restart in the middle of it all changes nothing: no run is lost or added.
func TestRestartsDoNotShiftRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.takes = 7 * time.Second
		time.Sleep(10 * time.Minute)
		for range 30 {
			b.runFor(11 * time.Minute)
			time.Sleep(time.Second)
		}
		b.wantRuns(append([]time.Duration{10 * time.Minute}, hours(1, 5)...)...)
	})
}

func TestStartRemovesPartials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.store.partials = []string{"rolling_node-a_19991231T230000Z.db.zst.part"}
		b.runFor(time.Minute)
		b.wantLines(atWarning, "removed partial snapshots of an interrupted run")
		e := b.log.AllEntries()[0]
		if files, _ := e.Data["files"].([]string); !slices.Equal(files, []string{"rolling_node-a_19991231T230000Z.db.zst.part"}) {
			t.Errorf("files=%v", e.Data["files"])
		}
	})
}

func TestDaemonFailsWhenTheDirectoryCannotBeRead(t *testing.T) {
	broken := errors.New("broken disk")
	for name, set := range map[string]func(*memStore){
		"partials": func(s *memStore) { s.partialErr = broken },
		"list":     func(s *memStore) { s.listErr = broken },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				set(b.store)
				if err := b.start(); !errors.Is(err, broken) {
					t.Errorf("Run: %v, want %v", err, broken)
				}
				b.wantRuns()
			})
		})
	}
}
