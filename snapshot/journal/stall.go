package journal

import (
	"context"
	"time"
)

const (
	// turnTime is how long a recorder waits at most before it looks at the clocks again.
	turnTime = time.Second
	// stallTime is after how long without a turn something has held it up: the process was stopped, the machine slept, or the disk took long.
	stallTime = 2 * turnTime
)

// turn notes that the recorder is ready for what the watch shows. If it stood still before, etcd may have had what comes now for long: that is late
// until the member has said, asked after the standstill, what its revision was.
func (r *Recorder) turn(a *asker) {
	now := time.Now()
	// The monotonic clock does not count the sleep of the machine. The one on the wall may have been set: then a little is called late that was not.
	if max(now.Sub(r.turned), now.Round(0).Sub(r.turned.Round(0))) > stallTime {
		r.stood = now
	}
	r.turned = now
	if r.stood.IsZero() {
		return
	}
	select {
	case a.stood <- struct{}{}:
	default: // it is being asked
	}
}

// stand is the revision of the cluster, asked at a time.
type stand struct {
	revision int64
	asked    time.Time
}

// caughtUp ends the time in which all is late: up to this revision it is, and what is newer is not.
func (r *Recorder) caughtUp(s stand) {
	if s.asked.Before(r.stood) {
		return
	}
	r.head, r.stood = max(r.head, s.revision), time.Time{}
}

// stand asks for the revision of the cluster. Without an answer it is asked again at the next turn.
func (a *asker) stand(ctx context.Context) {
	s := stand{asked: time.Now()}
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	var err error
	if s.revision, err = a.member.Revision(limited); err == nil {
		send(ctx, a.stands, s)
	}
}
