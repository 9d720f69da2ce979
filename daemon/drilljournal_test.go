package daemon_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
)

// A journal that does not lead to the next snapshot, or can't be restored, is a problem until a drill passes, and no failure of the snapshot's drill.
func TestFailureOfTheJournalIsNoneOfTheSnapshot(t *testing.T) {
	wrong := errors.New("the databases differ: the key \"/a\"\nof revision 7")
	for name, c := range map[string]struct {
		found daemon.DrilledJournal
		line  string
		text  string // of the problem
		want  status.Proof
	}{
		"another content": {
			daemon.DrilledJournal{Revision: 90, Proof: &daemon.JournalProof{Err: wrong}},
			"the journal does not lead to the next snapshot: what is restored with it may be wrong",
			`the databases differ: the key "/a"; of revision 7`,
			status.Proof{Restored: 90},
		},
		"can't be restored": {
			daemon.DrilledJournal{Err: errors.New("drill: merge: damaged")}, "restore drill of the journal failed: only the snapshot can be restored", "drill: merge: damaged", status.Proof{},
		},
		"no room": {
			daemon.DrilledJournal{Err: errors.Join(daemon.ErrSkipped, errors.New("disk full"))}, "restore drill of the journal skipped; the snapshot was restored alone", "", status.Proof{},
		},
		"not compared": {
			daemon.DrilledJournal{Revision: 90, Unproven: errors.New("no memory")}, "comparing the journal with the next snapshot was skipped", "", status.Proof{Restored: 90},
		},
		"proven": {daemon.DrilledJournal{Revision: 90, Proof: &daemon.JournalProof{From: 40, To: 60}}, "", "", status.Proof{Restored: 90, From: 40, To: 60}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				b.run = []outcome{{takes: 10 * time.Second}}
				b.segment = 30 * time.Second
				d := newDrills(b, "0 3 * * *")
				d.journal = func(n int) daemon.DrilledJournal {
					if n == 0 {
						return c.found
					}
					return daemon.DrilledJournal{Revision: 99}
				}
				b.runFor(time.Minute)
				s := b.status.State()
				j := s.Jobs[status.Drill]
				if j.Failures != 0 || j.Success.IsZero() {
					t.Errorf("the drill of the snapshot: %+v", j)
				}
				if lines := slices.Concat(b.lines(atError), b.lines(atWarning)); c.line != "" && !slices.Equal(lines, []string{c.line}) || c.line == "" && len(lines) > 0 {
					t.Errorf("logged %q, want %q", lines, c.line)
				}
				problem := slices.IndexFunc(b.status.Problems(), func(p status.Problem) bool { return p.Code == status.CodeJournalWrong })
				switch {
				case (problem >= 0) != (c.text != ""):
					t.Errorf("problems: %v", b.status.Problems())
				case problem >= 0 && !strings.Contains(b.status.Problems()[problem].Text, c.text):
					t.Errorf("the problem is %v", b.status.Problems()[problem])
				}
				got := s.Journal.Proven
				got.At, got.Proven, got.Message = time.Time{}, time.Time{}, ""
				if got != c.want {
					t.Errorf("proven: %+v, want %+v", s.Journal.Proven, c.want)
				}
				failures, proven := s.Journal.ProofFailures, s.Journal.Proven.Proven
				if failures != map[bool]int{true: 1}[c.text != ""] || proven.IsZero() != (c.want.To == 0) {
					t.Errorf("%d failures; last proven %v", failures, proven)
				}
				b.runFor(4 * time.Hour)
				if s := b.status.State(); s.Journal.Proven.Message != "" || s.Journal.Proven.Restored != 99 || !s.Journal.Proven.Proven.Equal(proven) {
					t.Errorf("after a drill that passed: %+v", s.Journal)
				}
			})
		})
	}
}
