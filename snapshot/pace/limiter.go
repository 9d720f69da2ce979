package pace

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// maxPiece is one message of etcd's stream, bytes.
	maxPiece = 32 << 10
	// pieceTime bounds the wait for one piece, and with it the time without a byte that the stall watch and systemd's watchdog see. Both
	// are seconds at least. It also bounds how long a new rate waits for what was let through at the old one.
	pieceTime = 100 * time.Millisecond
	// creditTime is how much of the rate may be caught up with: a timer that should sleep for 100 µs sleeps for a millisecond or two on a busy
	// machine. What is more than that is gone, so that a pause of the stream is not followed by a burst.
	creditTime = 10 * time.Millisecond
	// shortestWait is the shortest time worth sleeping: to wake up for each message would double the CPU time of a stream.
	shortestWait = 4 * time.Millisecond
)

// limiter lets bytes pass at a rate that may change at any time.
type limiter struct {
	mu   sync.Mutex
	rate float64   // bytes per second
	due  time.Time // when all that has passed is due at the rate
}

// set changes the rate, which is above zero.
func (l *limiter) set(rate float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
}

// take returns how many of n bytes may pass after the wait, one at least.
func (l *limiter) take(now time.Time, n int) (piece int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	piece = max(1, min(n, maxPiece, int(min(l.rate*pieceTime.Seconds(), maxPiece))))
	if oldest := now.Add(-creditTime); l.due.Before(oldest) {
		l.due = oldest
	}
	if wait = l.due.Sub(now); wait < shortestWait {
		wait = 0
	}
	l.due = l.due.Add(time.Duration(float64(piece) / l.rate * float64(time.Second)))
	return piece, wait
}

// writer passes on what is written to it, at the limiter's rate.
type writer struct {
	ctx   context.Context //nolint:containedctx // io.Writer takes none, and a wait must end with the snapshot
	w     io.Writer
	limit *limiter
}

// Write implements io.Writer.
func (w writer) Write(p []byte) (done int, err error) {
	for len(p) > 0 {
		piece, wait := w.limit.take(time.Now(), len(p))
		if err := sleep(w.ctx, wait); err != nil {
			return done, err
		}
		n, err := w.w.Write(p[:piece])
		done += n
		if err != nil {
			return done, err
		}
		p = p[piece:]
	}
	return done, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
