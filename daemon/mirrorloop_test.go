package daemon_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/snapshot"
)

var errBucketDown = errors.New("bucket is down")

// passes is a mirror whose pass number n takes and gives what a test sets.
type passes struct {
	begun  []time.Duration // since the bed's origin
	count  atomic.Int32    // of them, for other goroutines
	takes  time.Duration
	broken func(n int) bool
	bed    *bed
}

func (p *passes) pass(ctx context.Context) (mirror.Result, error) {
	n := len(p.begun)
	p.begun = append(p.begun, time.Since(p.bed.origin))
	p.count.Add(1)
	select {
	case <-ctx.Done():
		return mirror.Result{}, ctx.Err()
	case <-time.After(p.takes):
	}
	if p.broken != nil && p.broken(n) {
		return mirror.Result{Pending: 1}, errBucketDown
	}
	return mirror.Result{}, nil
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

func TestMirrorRetriesWithGrowingPausesAndDelaysNoCycle(t *testing.T) {
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
			t.Errorf("kept %q: pruning on the disk stopped with the bucket", kept)
		}
		// The second pass is the first snapshot's, immediately; then the pauses after so many failures: 10 s, 20 s, 40 s.
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

func TestMirrorThatHangsDelaysNoSnapshotAndStopsWithTheDaemon(t *testing.T) {
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

func TestMirrorStopsRetryingAfterASuccess(t *testing.T) {
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

// unreadable is a mirror.Source whose files can't be read.
type unreadable struct{ mirror.Source }

func (unreadable) File(snapshot.Name) (*os.File, error) { return nil, syscall.EIO }

// The log does not call snapshots safe that can't be read.
func TestMirrorLogsWhatIsWrongWithTheDisk(t *testing.T) {
	for message, err := range map[string]error{
		"mirroring failed: a snapshot on the disk is damaged":    errDamage,
		"mirroring failed: a snapshot on the disk can't be read": mirror.Upload(t.Context(), unreadable{}, nil, snapshot.Entry{}, false, nil),
		"mirroring failed; local snapshots are safe":             errBucketDown,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@hourly")
			b.opts.Mirror = func(context.Context) (mirror.Result, error) { return mirror.Result{}, err }
			b.runFor(time.Second)
			for _, got := range b.lines(atError) {
				if got != message {
					t.Errorf("%v: logged %q, want %q", err, got, message)
				}
			}
			if len(b.lines(atError)) == 0 {
				t.Errorf("%v: logged nothing", err)
			}
		})
	}
}
