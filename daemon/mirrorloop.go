package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// mirrorLoop brings the bucket in line at the start, after each snapshot, and after trouble with growing pauses. It runs
// beside the cycles: however S3 is, snapshots are taken and pruned here all the same.
func (d *Daemon) mirrorLoop(ctx context.Context) {
	var first sync.Once
	for failures := 0; ; {
		began := d.clock()
		d.Recorder.Attempt(metrics.Mirror, began)
		done, err := d.Mirror(ctx)
		if ctx.Err() != nil {
			return
		}
		now := d.clock()
		if err == nil {
			d.Recorder.MirrorDone(now, done.Locked)
		} else {
			d.Recorder.Failed(metrics.Mirror, now, "", d.reason(metrics.Mirror, err), err.Error())
			d.foundDamage() // if there was any
		}
		first.Do(func() { close(d.passed) })
		var again <-chan time.Time
		pause := time.Duration(0)
		if failures++; err == nil {
			failures = 0
		} else {
			pause = backoff(failures)
			again = time.After(pause)
		}
		d.logMirror(done, now.Sub(began), pause, err)
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
		"run": runID(), "uploaded": len(done.Uploaded), "pruned": len(done.Removed), "duration_seconds": seconds(took),
	})
	if done.Listed {
		log = log.WithField("waiting", done.Waiting)
	}
	if done.Locked > 0 {
		log = log.WithField("locked", done.Locked)
	}
	if done.Swept > 0 {
		log = log.WithField("swept", done.Swept)
	}
	switch {
	case err != nil:
		message := "mirroring failed; local snapshots are safe"
		if errors.Is(err, snapshot.ErrDamaged) {
			message = "mirroring failed: a snapshot on the disk is damaged"
		} else if isFileError(err) {
			message = "mirroring failed: a snapshot on the disk can't be read"
		}
		log.WithError(err).WithFields(logrus.Fields{"reason": string(d.reason(metrics.Mirror, err)), "retry_in_seconds": seconds(pause)}).Error(message)
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
