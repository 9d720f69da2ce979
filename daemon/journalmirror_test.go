package daemon_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
)

// sealing is a journal that completes a segment every ten minutes.
type sealing struct{}

func (sealing) Record(ctx context.Context, events daemon.JournalEvents) error {
	events.Opened(daemon.JournalStart{Revision: 1})
	events.Reached(1, time.Now(), 1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Minute):
			events.Sealed()
		}
	}
}

func (sealing) Reason(error) status.Reason { return status.Other }

// uploads is the bed with a journal, and has when segments were uploaded, since the bed's origin.
func uploads(b *bed, upload func(n int) error) *[]time.Duration {
	begun := &[]time.Duration{}
	b.opts.Journal = sealing{}
	b.opts.MirrorSegments = func(context.Context) (mirror.Uploaded, error) {
		*begun = append(*begun, time.Since(b.origin))
		return mirror.Uploaded{}, upload(len(*begun) - 1)
	}
	return begun
}

// Also after each mirror pass, because it may be the first one that succeeds.
func TestSegmentIsUploadedWhenItIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		newPasses(b)
		begun := uploads(b, func(int) error { return nil })
		b.runFor(time.Hour + 15*time.Minute)
		for _, want := range []time.Duration{10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, time.Hour + time.Second, 70 * time.Minute} {
			if !slices.Contains(*begun, want) {
				t.Errorf("none at %v: %v", want, *begun)
			}
		}
	})
}

func TestFailedUploadOfSegmentsIsRepeatedEachMinuteAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		newPasses(b)
		begun := uploads(b, func(n int) error {
			if n < 20 {
				return errBucketDown
			}
			return nil
		})
		b.runFor(50 * time.Minute)
		for i := 5; i < 20; i++ {
			if pause := (*begun)[i] - (*begun)[i-1]; pause > time.Minute {
				t.Errorf("a pause of %v: %v", pause, *begun)
			}
		}
		b.wantLines(atWarning, "mirroring the journal failed; what is on the disk is safe")
		if lines := b.lines(atInfo); !slices.Contains(lines, "mirroring the journal continues") {
			t.Errorf("logged are %q", lines)
		}
	})
}

// The first pass knows what is not needed in the bucket, so no segment is uploaded before it.
func TestSnapshotIsMirroredWhileASegmentIsUploaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		p := newPasses(b)
		begun := 0
		b.opts.Journal = sealing{}
		b.opts.MirrorSegments = func(ctx context.Context) (mirror.Uploaded, error) {
			if begun++; p.count.Load() == 0 {
				t.Error("before the first pass")
			}
			<-ctx.Done()
			return mirror.Uploaded{}, ctx.Err()
		}
		b.runFor(3*time.Hour + time.Minute)
		// The first two are at the start, and after the first snapshot.
		if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; len(p.begun) != 5 || !slices.Equal(p.begun[2:], want) || begun != 1 {
			t.Errorf("passes at %v, want %v at last; %d uploads", p.begun, want, begun)
		}
	})
}
