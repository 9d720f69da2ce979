package daemon

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// mirrorLoop does a mirror pass at the start, after each snapshot, and after an error with growing pauses. It runs alongside the
// cycles, so a failure of S3 does not affect snapshots and pruning on the disk.
func (d *Daemon) mirrorLoop(ctx context.Context) {
	var first sync.Once
	for failures := 0; ctx.Err() == nil; {
		began := d.clock()
		d.Status.Begin(status.Mirror, began)
		done, err := d.Mirror(ctx)
		if ctx.Err() != nil {
			d.Status.Abort(status.Mirror)
			return
		}
		now := d.clock()
		if err == nil {
			d.Status.Mirrored(now, done.Locked)
		} else {
			d.Status.End(status.Mirror, now, status.Outcome{Reason: d.Reason(status.Mirror, err), Message: err.Error()})
			notifyOne(d.damageFound) // if there was any
		}
		d.save()
		notifyOne(d.segmentsDue)
		first.Do(func() { close(d.mirrored) })
		pause := time.Duration(math.MaxInt64)
		if failures++; err == nil {
			failures = 0
		} else {
			pause = backoff(failures)
		}
		d.logMirror(done, now.Sub(began), pause, err)
		await(ctx, pause, d.mirrorDue)
	}
}

// logMirror logs the result of a pass. If everything was in sync, it does so at level debug only.
func (d *Daemon) logMirror(done mirror.Result, took, pause time.Duration, err error) {
	log := d.Log.WithFields(logrus.Fields{
		"run": runID(), "uploaded": len(done.Uploaded), "pruned": len(done.Removed), "duration_seconds": seconds(took),
	})
	if done.Listed {
		log = log.WithField("waiting", done.Pending)
	}
	for name, n := range map[string]int{"locked": done.Locked, "swept": done.Swept, "pruned_segments": len(done.Segments)} {
		if n > 0 {
			log = log.WithField(name, n)
		}
	}
	if len(done.Taken) > 0 {
		log.WithField("names", done.Taken).Warn("S3 has something else under names of this node's snapshots: somebody else stores there, or S3 has lost a part of an upload")
	}
	switch {
	case err != nil:
		message := "mirroring failed; local snapshots are safe"
		if errors.Is(err, snapshot.ErrDamaged) {
			message = "mirroring failed: a snapshot on the disk is damaged"
		} else if mirror.IsFileError(err) {
			message = "mirroring failed: a snapshot on the disk can't be read"
		}
		log.WithError(err).WithFields(logrus.Fields{"reason": string(d.Reason(status.Mirror, err)), "retry_in_seconds": seconds(pause)}).Error(message)
	case len(done.Uploaded)+len(done.Removed)+len(done.Segments)+done.Locked+done.Swept > 0:
		log.Info("mirrored")
	default:
		log.Debug("mirror is in sync")
	}
}

// backoff returns the pause after that many failures in a row.
func backoff(failures int) time.Duration {
	return min(firstPause<<min(failures-1, 16), maxPause)
}
