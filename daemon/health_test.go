package daemon_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// patient is the bed's state as it is told, which tests change as time goes by.
type patient struct {
	mu      sync.Mutex
	reasons []string
}

func (b *bed) patient() *patient {
	p := &patient{}
	b.opts.Health = func() []string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.reasons
	}
	return p
}

func (p *patient) at(after time.Duration, reasons ...string) {
	time.AfterFunc(after, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reasons = reasons
	})
}

// The log tells once when all has ceased to be well, when more has, and when it is well again; what is mended at the next look is not
// worth a line.
func TestHealthIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		p := b.patient()
		p.at(time.Minute, "late")
		p.at(10*time.Minute, "late", "and damaged")
		p.at(12*time.Minute, "late by 2 min", "and damaged")
		p.at(14*time.Minute, "late by 3 h 1 min", "and full")
		p.at(16*time.Minute, "late by 2 days")
		p.at(20*time.Minute, "for a moment")
		p.at(20*time.Minute + 10*time.Second)
		p.at(30*time.Minute, "for a moment")
		p.at(30*time.Minute + 10*time.Second)
		b.runFor(time.Hour)
		b.wantLines(atError, "not all is well", "not all is well", "not all is well")
		b.wantLines(atInfo, msgFresh, "kept snapshot", "all is well again", "stopped")
	})
}

// A good cycle is no good word when something else is wrong.
func TestHeartbeatTellsOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		p := b.patient()
		p.at(90*time.Minute, "S3 is behind")
		p.at(150 * time.Minute)
		s := b.beating()
		b.runFor(3*time.Hour + time.Minute)
		if want := []string{"0s true", "1h0m0s true", "2h0m0s false", "3h0m0s true"}; !slices.Equal(s.sent, want) {
			t.Errorf("sent %q, want %q", s.sent, want)
		}
	})
}
