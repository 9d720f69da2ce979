package daemon_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
)

// scriptedJournal records as its script says, one step for each connection, and then until the stop.
type scriptedJournal struct {
	steps        []func(ctx context.Context, e daemon.JournalEvents) error
	begun        []time.Duration // since origin
	from         time.Time
	sealedAtStop bool
}

func (j *scriptedJournal) Reason(err error) status.Reason { return reasonOf(status.Snapshot, err) }

func (j *scriptedJournal) Record(ctx context.Context, e daemon.JournalEvents) error {
	n := len(j.begun)
	j.begun = append(j.begun, time.Since(j.from))
	if n < len(j.steps) {
		return j.steps[n](ctx, e)
	}
	e.Opened(daemon.JournalStart{Revision: 7})
	e.NeedBase("")
	<-ctx.Done()
	time.Sleep(time.Second) // it completes its segment
	j.sealedAtStop = true
	return ctx.Err()
}

func newJournal(b *bed, steps ...func(ctx context.Context, e daemon.JournalEvents) error) *scriptedJournal {
	j := &scriptedJournal{steps: steps, from: b.origin}
	b.opts.Journal = j
	return j
}

const (
	msgForJournal    = "taking a snapshot now: the journal needs a new one"
	msgContinues     = "journal continues"
	msgJournalBreaks = "journal interrupted; snapshots continue"
	msgJournalLater  = "journal not started; snapshots continue"
	msgJournalStops  = "journal stopped"
)

// runJournal runs a daemon, which takes a second longer to stop.
func runJournal(b *bed, d time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	if err := b.open().Run(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// The first snapshot is one that the journal continues: it waits for the watch, but not for long.
func TestFirstSnapshotWaitsForTheJournalsWatch(t *testing.T) {
	for name, c := range map[string]struct{ opens, runs time.Duration }{
		"opens soon":  {time.Second, time.Second},
		"hangs":       {time.Hour, 3 * time.Second},
		"opens never": {-1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				j := newJournal(b, func(ctx context.Context, e daemon.JournalEvents) error {
					if c.opens < 0 {
						return errDown
					}
					select {
					case <-time.After(c.opens):
					case <-ctx.Done():
						return ctx.Err()
					}
					e.Opened(daemon.JournalStart{Revision: 7, New: "there is none yet"})
					e.NeedBase("it has no snapshot")
					<-ctx.Done()
					return ctx.Err()
				})
				runJournal(b, 30*time.Minute)
				b.wantRuns(c.runs) // and no second one for the journal
				if len(j.begun) > 2 {
					t.Errorf("connections at %v", j.begun)
				}
			})
		})
	}
}

// A snapshot that the journal needs is taken between two runs, at once. What fails is retried as any other, and a request during a run is not
// served by a second one.
func TestJournalGetsASnapshotWhenItNeedsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		ask := func(e daemon.JournalEvents, after time.Duration) {
			time.Sleep(after)
			e.NeedBase("members have changed")
		}
		newJournal(b, func(ctx context.Context, e daemon.JournalEvents) error {
			e.Opened(daemon.JournalStart{Revision: 7})
			e.NeedBase("")
			ask(e, 10*time.Minute)
			ask(e, time.Second) // while that is taken
			ask(e, 10*time.Minute)
			ask(e, 2*time.Second) // before the retry
			<-ctx.Done()
			return ctx.Err()
		})
		b.run = []outcome{{}, {takes: 5 * time.Second}, {err: errDown}}
		runJournal(b, 30*time.Minute)
		second := 10 * time.Minute
		third := second + time.Second + 10*time.Minute
		b.wantRuns(0, second, third, third+5*time.Second)
		if n := len(slices.DeleteFunc(b.lines(atInfo), func(s string) bool { return s != msgForJournal })); n != 2 {
			t.Errorf("%d lines in the log, want 2", n)
		}
	})
}

// What never began does not stop either.
func TestJournalThatNeverBeganLogsNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		never := func(ctx context.Context, _ daemon.JournalEvents) error {
			<-ctx.Done()
			return ctx.Err()
		}
		newJournal(b, func(context.Context, daemon.JournalEvents) error { return errDown }, never)
		runJournal(b, time.Minute)
		b.wantLines(atWarning, msgJournalLater)
		b.wantLines(atInfo, msgFresh, msgSaved, "stopped")
	})
}

// It connects again with growing pauses, and logs a reason once. That fails no snapshot. At the stop it may complete its segment.
func TestJournalIsInterruptedOnceForEachReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		fails := func(err error) func(context.Context, daemon.JournalEvents) error {
			return func(context.Context, daemon.JournalEvents) error { return err }
		}
		long := func(_ context.Context, e daemon.JournalEvents) error {
			e.Opened(daemon.JournalStart{Revision: 7, New: "etcd has compacted it", Gap: true})
			e.NeedBase("")
			e.Reached(9, time.Now(), 12)
			time.Sleep(time.Minute)
			return errDown
		}
		j := newJournal(b, fails(errDown), fails(errDown), fails(errDown), fails(errStart), long)
		b.at(50*time.Second, func() {
			if s := b.status.State().Journal; !s.On || !s.Running || s.Revision != 9 || s.Behind != 3 || s.Gaps != 1 || s.Reason != "" || !s.Confirmed.IsZero() {
				t.Errorf("while it records: %+v", s)
			}
		})
		runJournal(b, 2*time.Minute)
		ms := time.Millisecond
		want := []time.Duration{0, 500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 68 * time.Second}
		if !slices.Equal(j.begun, want) || !j.sealedAtStop {
			t.Errorf("connections at %v, want %v; completed %t", j.begun, want, j.sealedAtStop)
		}
		b.wantLines(atWarning, msgJournalLater, msgJournalLater, "journal begins again, after a gap", msgJournalBreaks)
		b.wantLines(atInfo, msgFresh, msgSaved, msgContinues, msgJournalStops, "stopped")
		b.wantRuns(0)
		if s := b.status.State().Journal; s.Running {
			t.Errorf("after the stop: %+v", s)
		}
	})
}
