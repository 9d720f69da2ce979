package daemon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

const msgInterrupted = "the last run was interrupted: the daemon crashed or was killed"

// Failures in a row continue after a restart, until a snapshot is taken.
func TestFailuresOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{err: errDown}, {err: errDown}, {takes: time.Hour}, {takes: 2 * time.Second}}
		b.runFor(20 * time.Second) // the stop aborts the third try
		if j := b.job(status.Snapshot); j.Running || j.Failures != 2 {
			t.Errorf("a clean stop leaves %+v", j)
		}
		b.at(21*time.Second, func() {
			s := b.status.State()
			j := s.Jobs[status.Snapshot]
			if j.Failures != 2 || j.Reason != status.Unreachable || j.Message != "etcd is down" || b.since(j.Failed) != 5*time.Second {
				t.Errorf("after the restart: %+v", j)
			}
			if len(s.History) != 1 || s.History[0].Times != 2 || len(s.Starts) != 2 || b.since(s.Starts[1]) != 20*time.Second {
				t.Errorf("after the restart: history %+v, starts %v", s.History, s.Starts)
			}
		})
		b.runFor(3 * time.Second)
		if j := b.job(status.Snapshot); j.Failures != 0 || j.Message != "" || j.Running {
			t.Errorf("a snapshot leaves %+v", j)
		}
	})
}

// Each run that a crash interrupts counts as failed, and the run that was due stays due.
func TestCrashesCountAsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.takes = time.Minute
		for range 3 {
			b.crashAfter(10 * time.Second)
		}
		b.at(31*time.Second, func() {
			s := b.status.State()
			j := s.Jobs[status.Snapshot]
			if j.Failures != 3 || j.Reason != status.CutOff || j.Message == "" || b.since(j.Failed) != 30*time.Second || b.since(j.Due) != 0 {
				t.Errorf("after three crashes: %+v", j)
			}
			if len(s.Starts) != 4 || !slices.Contains(b.codes(), status.CodeSnapshotsFailing) {
				t.Errorf("starts %v, problems %q", s.Starts, b.codes())
			}
		})
		b.runFor(10 * time.Second)
		b.wantLines(atWarning, msgInterrupted, msgInterrupted, msgInterrupted)
	})
}

// A crash after the snapshot was safe cost nothing.
func TestCrashAfterTheSnapshotIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.run = []outcome{{takes: time.Second}}
		time.AfterFunc(500*time.Millisecond, func() { b.notes.freeze(true) })
		b.runFor(2 * time.Second)
		b.notes.freeze(false)
		time.Sleep(2 * time.Hour)
		b.runFor(time.Second)
		if s := b.status.State(); len(s.History) > 0 || s.Jobs[status.Snapshot].Failures > 0 {
			t.Errorf("after the restart: %+v", s)
		}
		b.wantLines(atWarning)
		b.wantRuns(0, 2*time.Hour+2*time.Second)
	})
}

// However often it is started, the file stays small.
func TestStartsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		for range 200 {
			b.runFor(time.Second)
		}
		if got := len(b.status.State().Starts); got != 60 {
			t.Errorf("%d starts are kept", got)
		}
		if !slices.Contains(b.codes(), status.CodeCrashLoop) {
			t.Errorf("problems %q", b.codes())
		}
	})
}

// A status file that can't be read or written costs a line, not a run.
func TestStatusFileThatFailsCostsNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.lost, b.notes.err = true, errors.New("disk is read-only")
		b.notes.files[snapshot.StatusFile(node)] = []byte("no JSON")
		newPasses(b)
		b.runFor(3*time.Hour - time.Minute)
		b.closing(3)
		b.wantLines(atWarning, "saving the status failed; a restart would lose it")
	})
}

// A member that leaves its runs to another is not late after a restart, however old its own snapshots are.
func TestSkippedRunsAreSettledAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.store.add(taken(t, b.origin.Add(-50*24*time.Hour)).Entry)
		b.always.err = fmt.Errorf("%w: the leader", daemon.ErrSkipped)
		b.runFor(90 * time.Minute)
		b.runFor(time.Minute)
		if j := b.job(status.Snapshot); b.since(j.Next) != 2*time.Hour || b.since(j.Due) != 2*time.Hour || b.since(j.Settled) != time.Hour {
			t.Errorf("after the restart: %+v", j)
		}
		b.wantRuns(hours(0, 1)...)
		if got := b.codes(); len(got) > 0 {
			t.Errorf("problems %q", got)
		}
	})
}

// The first snapshot of all stays due since the first start.
func TestFirstSnapshotStaysDueAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.err = errDown
		b.runFor(time.Minute)
		b.runFor(time.Minute)
		if j := b.job(status.Snapshot); b.since(j.Due) != 0 || !j.Next.After(b.origin.Add(time.Minute)) {
			t.Errorf("after the restart: %+v", j)
		}
	})
}

// What a wrong clock has dated in the future is ignored, and delays no run.
func TestStatusOfTheFutureIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		far := b.origin.Add(10 * 365 * 24 * time.Hour)
		j := status.JobState{Attempt: far, Due: far, Settled: far, Success: far, Failed: far, Failures: 7, Reason: status.Disk, Message: "e"}
		s := status.State{Jobs: map[status.Job]status.JobState{status.Snapshot: j}, Starts: []time.Time{far}, History: []status.Failure{{At: far, Job: status.Snapshot}}}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		b.notes.files[snapshot.StatusFile(node)] = data
		b.run = []outcome{{takes: 2 * time.Second}}
		b.at(time.Second, func() {
			s := b.status.State()
			if j := s.Jobs[status.Snapshot]; j.Failures != 0 || j.Message != "" || !j.Failed.IsZero() || b.since(j.Due) != 0 {
				t.Errorf("known of the runs: %+v", j)
			}
			if len(s.Starts) != 1 || len(s.History) > 0 {
				t.Errorf("starts %v, history %+v", s.Starts, s.History)
			}
		})
		b.runFor(time.Minute)
		b.closing(1)
	})
}
