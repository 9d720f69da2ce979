package daemon_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// health is what is wrong, which tests change as time goes by.
type health struct {
	mu       sync.Mutex
	problems []status.Problem
}

func (b *bed) health() *health {
	h := &health{}
	b.opts.Problems = func() []status.Problem {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.problems
	}
	return h
}

func (h *health) at(after time.Duration, problems ...status.Problem) {
	time.AfterFunc(after, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.problems = problems
	})
}

func problem(c status.Code, text string) status.Problem { return status.Problem{Code: c, Text: text} }

// The log has one line when the first problem comes, one for each kind more, and one when all are over. Figures in the text make no new
// problem, and what is over at the next look is not worth a line.
func TestProblemsAreLoggedOncePerKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		h := b.health()
		damaged := problem(status.CodeDamaged, "damaged")
		h.at(time.Minute, problem(status.CodeSnapshotLate, "late"))
		h.at(10*time.Minute, problem(status.CodeSnapshotLate, "late"), damaged)
		h.at(12*time.Minute, problem(status.CodeSnapshotLate, "late by 2 min"), damaged)
		h.at(14*time.Minute, problem(status.CodeSnapshotLate, "late by 3 h 1 min"), problem(status.CodePruneFailed, "read-only"))
		h.at(16*time.Minute, problem(status.CodeSnapshotLate, "late by 2 days"))
		h.at(20*time.Minute, problem(status.CodeUnmirrored, "for a moment"))
		h.at(20*time.Minute + 10*time.Second)
		h.at(30*time.Minute, problem(status.CodeUnmirrored, "for a moment"))
		h.at(30*time.Minute + 10*time.Second)
		b.runFor(time.Hour)
		b.wantLines(atError, "unhealthy", "unhealthy", "unhealthy")
		b.wantLines(atInfo, msgFresh, msgSaved, "healthy again", "stopped")
		var reasons []any
		for _, e := range b.log.AllEntries() {
			if r, ok := e.Data["reasons"]; ok {
				reasons = append(reasons, r.(interface{ String() string }).String())
			}
		}
		if want := []any{"late", "late; damaged", "late by 3 h 1 min; read-only"}; !slices.Equal(reasons, want) {
			t.Errorf("reasons %q, want %q", reasons, want)
		}
	})
}

// A problem that comes back after it was over is logged again, while others last.
func TestProblemThatComesBackIsLoggedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		h := b.health()
		late, damaged := problem(status.CodeSnapshotLate, "late"), problem(status.CodeDamaged, "damaged")
		h.at(time.Minute, late)
		h.at(2*time.Minute, late, damaged)
		h.at(3*time.Minute, late)
		h.at(4*time.Minute, late, damaged)
		b.runFor(time.Hour)
		b.wantLines(atError, "unhealthy", "unhealthy", "unhealthy")
	})
}

// A good cycle sends no good word when something else is wrong.
func TestHeartbeatReportsEveryProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		h := b.health()
		h.at(90*time.Minute, problem(status.CodeMirrorBehind, "S3 is behind"))
		h.at(150 * time.Minute)
		s := b.beating()
		b.runFor(3*time.Hour + time.Minute)
		if want := []string{"0s true", "1h0m0s true", "2h0m0s false", "3h0m0s true"}; !slices.Equal(s.sent, want) {
			t.Errorf("sent %q, want %q", s.sent, want)
		}
	})
}
