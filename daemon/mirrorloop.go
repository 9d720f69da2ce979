package daemon

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
)

// mirrorLoop brings the bucket in line at the start, after each snapshot, and after trouble with growing pauses. It runs
// beside the cycles: however S3 is, snapshots are taken and pruned here all the same.
func (d *Daemon) mirrorLoop(ctx context.Context) {
	for failures := 0; ; {
		began := d.clock()
		done, err := d.Mirror(ctx)
		if ctx.Err() != nil {
			return
		}
		var again <-chan time.Time
		pause := time.Duration(0)
		if failures++; err == nil {
			failures = 0
		} else {
			pause = backoff(failures)
			again = time.After(pause)
		}
		d.logMirror(done, d.clock().Sub(began), pause, err)
		select {
		case <-ctx.Done():
			return
		case <-d.kick:
		case <-again:
		}
	}
}

// logMirror writes a pass's closing line. A pass that found everything in place is not worth one.
func (d *Daemon) logMirror(done Mirrored, took, pause time.Duration, err error) {
	log := d.Log.WithFields(logrus.Fields{
		"uploaded": len(done.Uploaded), "waiting": done.Waiting, "pruned": len(done.Removed), "duration": took.Round(time.Millisecond),
	})
	if done.Locked > 0 {
		log = log.WithField("locked", done.Locked)
	}
	if done.Swept > 0 {
		log = log.WithField("swept", done.Swept)
	}
	switch {
	case err != nil:
		log.WithError(err).WithField("retry_in", pause).Error("mirroring failed; local snapshots are safe")
	case len(done.Uploaded)+len(done.Removed)+done.Locked+done.Swept > 0:
		log.Info("mirrored")
	default:
		log.Debug("mirror is in line")
	}
}

// backoff is the pause after so many failures in a row.
func backoff(failures int) time.Duration {
	return min(firstPause<<min(failures-1, 16), maxPause)
}
