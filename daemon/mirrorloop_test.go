package daemon_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
)

// passes is a mirror whose pass number n takes and gives what it is told to.
type passes struct {
	begun  []time.Duration // since the bed's origin
	takes  time.Duration
	broken func(n int) bool
	bed    *bed
}

func (p *passes) pass(ctx context.Context) (daemon.Mirrored, error) {
	n := len(p.begun)
	p.begun = append(p.begun, time.Since(p.bed.origin))
	select {
	case <-ctx.Done():
		return daemon.Mirrored{}, ctx.Err()
	case <-time.After(p.takes):
	}
	if p.broken != nil && p.broken(n) {
		return daemon.Mirrored{Waiting: 1}, errBucketDown
	}
	return daemon.Mirrored{}, nil
}

func newPasses(b *bed) *passes {
	p := &passes{bed: b, takes: time.Second}
	b.opts.Mirror = p.pass
	return p
}

func TestMirrorRunsAtTheStartAndAfterEachSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		p := newPasses(b)
		b.runFor(3*time.Hour + time.Minute)
		// The first snapshot is taken at the start, while the first pass runs; three more follow.
		want := []time.Duration{0, time.Second, time.Hour, 2 * time.Hour, 3 * time.Hour}
		if !slices.Equal(p.begun, want) {
			t.Errorf("passes at %v, want %v", p.begun, want)
		}
	})
}

func TestMirrorTroublePausesGrowAndNeverTouchTheCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		p := newPasses(b)
		p.broken = func(int) bool { return true }
		b.runFor(12*time.Hour + time.Minute)
		if len(b.begun) != 13 {
			t.Errorf("%d snapshots in 12 hours without a bucket, want 13", len(b.begun))
		}
		kept := b.store.names()
		if len(kept) != b.opts.Policy.Last {
			t.Errorf("kept %q: pruning here stopped with the bucket", kept)
		}
		// The second pass is the first snapshot's, at once; then the pauses after so many failures: 10 s, 20 s, 40 s.
		want := []time.Duration{0, time.Second, 12 * time.Second, 33 * time.Second, 74 * time.Second}
		if !slices.Equal(p.begun[:5], want) {
			t.Errorf("passes at %v, want %v", p.begun[:5], want)
		}
		for i := 1; i < len(p.begun); i++ {
			if gap := p.begun[i] - p.begun[i-1]; gap > 5*time.Minute+time.Second {
				t.Errorf("a pause of %s", gap)
			}
		}
		if n := len(b.lines(atError)); n != len(p.begun) {
			t.Errorf("%d failed passes, %d error lines", len(p.begun), n)
		}
	})
}

func TestMirrorThatHangsDelaysNoSnapshotAndEndsWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		p := newPasses(b)
		p.takes = 1000 * time.Hour
		b.runFor(5*time.Hour + time.Minute)
		if len(b.begun) != 6 || len(p.begun) != 1 {
			t.Errorf("%d snapshots, %d passes", len(b.begun), len(p.begun))
		}
		for _, e := range b.lines(atError) {
			t.Errorf("logged %q", e)
		}
	})
}

func TestMirrorRecoversAndItsPauseStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@daily")
		p := newPasses(b)
		p.broken = func(n int) bool { return n < 4 }
		b.runFor(time.Hour)
		if len(p.begun) != 5 {
			t.Errorf("%d passes at %v: four fail, the fifth works, and nothing new comes", len(p.begun), p.begun)
		}
	})
}
