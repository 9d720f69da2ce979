package daemon_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
)

// notebook is a daemon.Note of runs in memory.
type notebook struct {
	kept []daemon.RunReport
	err  error // of all that is to be kept
}

func newNotebook(b *bed) *notebook {
	n := &notebook{}
	b.opts.Runs = daemon.Note[daemon.RunReport]{
		Read: func() (daemon.RunReport, error) {
			if len(n.kept) == 0 {
				return daemon.RunReport{}, nil
			}
			return n.last(), nil
		},
		Keep: func(r daemon.RunReport) error {
			if n.err == nil {
				n.kept = append(n.kept, r)
			}
			return n.err
		},
	}
	return n
}

func (n *notebook) last() daemon.RunReport { return n.kept[len(n.kept)-1] }

// crash leaves the note as a process leaves it that ended while its last run was under way.
func (n *notebook) crash(began time.Time) {
	r := n.last()
	r.Began = began
	n.kept = append(n.kept, r)
}

// told are what was heard of the runs before the start.
func told(e *ears) []string {
	rebuilt := slices.Index(e.heard, "rebuilt")
	return slices.DeleteFunc(slices.Clone(e.heard[:rebuilt]), func(s string) bool {
		return !strings.HasPrefix(s, "fail") && !strings.HasPrefix(s, "started")
	})
}

// Failures in a row go on over a restart, until a snapshot is taken.
func TestFailuresOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		n := newNotebook(b)
		b.run = []outcome{{err: errDown}, {err: errDown}, {takes: time.Hour}, {}}
		b.runFor(20 * time.Second) // the third try is cut off by the stop
		if r := n.last(); !r.Began.IsZero() || r.Failures != 2 {
			t.Errorf("a clean stop leaves %+v", r)
		}
		e := listen(b)
		b.runFor(time.Second)
		want := []string{`failed snapshot 5s "" other etcd is down`, "failing snapshot 2", "started 0s", "started 20s"}
		if got := told(e); !slices.Equal(got, want) {
			t.Errorf("told of the past %q, want %q", got, want)
		}
		if r := n.last(); r.Failures != 0 || r.Error != "" || !r.Began.IsZero() {
			t.Errorf("a snapshot leaves %+v", r)
		}
	})
}

// Each run that a crash has cut off counts as failed; the run that was due stays due.
func TestCrashesAreFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		n := newNotebook(b)
		b.always.takes = time.Minute
		for range 3 {
			b.runFor(10 * time.Second)
			n.crash(time.Now().Add(-10 * time.Second))
			time.Sleep(10 * time.Second)
		}
		e := listen(b)
		b.runFor(10 * time.Second)
		const why = "the daemon ended in the midst of it, without being stopped"
		want := []string{`failed snapshot 40s "" cut_off ` + why, "failing snapshot 2", "started 0s", "started 20s", "started 40s", "started 1m0s"}
		if got := told(e); !slices.Equal(got, want) {
			t.Errorf("told of the past %q, want %q", got, want)
		}
		if !e.has(`failed snapshot 1m0s "" cut_off ` + why) {
			t.Errorf("the last crash is not told: %q", e.heard)
		}
		b.wantLines(atWarning, slices.Repeat([]string{"the last run was cut off: " + why}, 3)...)
	})
}

// A crash after the snapshot was safe cost nothing, and what was before the newest snapshot is over.
func TestCrashAfterTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		n := newNotebook(b)
		b.runFor(time.Second)
		n.crash(b.origin.Add(500 * time.Millisecond))
		time.Sleep(2 * time.Hour)
		e := listen(b)
		b.runFor(time.Second)
		if got, want := told(e), []string{"started 2h0m1s"}; !slices.Equal(got, want) {
			t.Errorf("told of the past %q, want %q", got, want)
		}
	})
}

// However often it is started, the note stays small.
func TestStartsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		n := newNotebook(b)
		for range 200 {
			b.runFor(time.Second)
		}
		if got := len(n.last().Starts); got != 60 {
			t.Errorf("%d starts are kept", got)
		}
	})
}

// A note that can't be read or kept costs a line, not a run.
func TestRunNoteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		n := newNotebook(b)
		n.err = errors.New("disk is read-only")
		b.opts.Runs.Read = func() (daemon.RunReport, error) { return daemon.RunReport{}, errors.New("no JSON") }
		b.runFor(3*time.Hour - time.Minute)
		b.closing(3)
		b.wantLines(atWarning, "what became of the runs before this start is not known", "keeping what became of the runs failed; a restart forgets it")
	})
}

// A member that leaves its runs to another is not late after a restart, however old its own snapshots are.
func TestSkippedRunsAreSettledOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		newNotebook(b)
		b.store.add(taken(t, b.origin.Add(-50*24*time.Hour)).Entry)
		b.always.err = fmt.Errorf("%w: the leader", daemon.ErrSkipped)
		b.runFor(90 * time.Minute)
		e := listen(b)
		b.runFor(time.Minute)
		if !e.has("schedule 2h0m0s every 1h0m0s") {
			t.Errorf("heard %q", e.heard)
		}
	})
}

// The first snapshot of all stays due since the first start.
func TestFirstSnapshotStaysDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		newNotebook(b)
		b.always.err = errDown
		b.runFor(time.Minute)
		e := listen(b)
		b.runFor(time.Minute)
		first, then := slices.Index(e.heard, "schedule 0s every 1h0m0s"), slices.Index(e.heard, "schedule 1m0s every 1h0m0s")
		if first < 0 || then < first {
			t.Errorf("heard %q", e.heard)
		}
	})
}

// What a wrong clock has dated in the future is left out.
func TestRunNoteOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		n := newNotebook(b)
		far := b.origin.Add(10 * 365 * 24 * time.Hour)
		n.kept = append(n.kept, daemon.RunReport{Starts: []time.Time{far}, Due: far, Skipped: far, Failures: 7, At: far, Error: "e"})
		e := listen(b)
		b.runFor(time.Minute)
		if got, want := told(e), []string{"started 0s"}; !slices.Equal(got, want) {
			t.Errorf("told of the past %q, want %q", got, want)
		}
		b.closing(1)
	})
}
