package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// SegmentStore has the segments of the journal on the disk; *snapshot.Dir is one.
type SegmentStore interface {
	prune.Segments
	// SegmentEnd is when the last revision of one was received; zero: not known.
	SegmentEnd(n snapshot.SegmentName) time.Time
}

// maxSegmentPause is the longest wait after a failed upload of segments: how much the bucket lacks after S3 is back.
const maxSegmentPause = time.Minute

// segmentLoop uploads segments of the journal soon after they are complete, and after each mirror pass. It runs alongside the mirror, so a
// snapshot waits for no segment. It begins when the first pass has ended, which knows what is not needed.
func (d *Daemon) segmentLoop(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-d.mirrored:
	}
	for failures := 0; ctx.Err() == nil; {
		done, err := d.MirrorSegments(ctx)
		if ctx.Err() != nil {
			return
		}
		d.logSegments(done, failures, err)
		if err == nil || ofFile(err) {
			failures = 0
			await(ctx, mirrorAgain, d.segmentsDue)
			continue
		}
		failures++
		await(ctx, min(backoff(failures), maxSegmentPause), nil)
	}
}

// mirrorAgain is how long the loop waits for a new segment, and then looks all the same.
const mirrorAgain = time.Hour

// ofFile reports that single segments were not uploaded, because of their files or of what has their names in the bucket: the others were.
func ofFile(err error) bool {
	return errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrExists) || mirror.IsFileError(err)
}

// logSegments logs a failure once until it is over.
func (d *Daemon) logSegments(done mirror.Uploaded, failures int, err error) {
	log := d.Log.WithFields(logrus.Fields{"uploaded": len(done.Segments), "waiting": done.Pending})
	switch {
	case err != nil:
		log = log.WithError(err).WithField("reason", string(d.Reason(status.Mirror, err)))
		if message := "mirroring the journal failed; what is on the disk is safe"; failures == 0 && err.Error() != d.segmentError {
			log.Warn(message)
		} else {
			log.Debug(message)
		}
		d.segmentError = err.Error()
		return
	case failures > 0:
		log.Info("mirroring the journal continues")
	case len(done.Segments) > 0:
		log.Debug("journal mirrored")
	}
	d.segmentError = ""
}

// pruneSegments removes the segments that the journal does not need any more.
func (d *Daemon) pruneSegments(ctx context.Context, log logrus.FieldLogger) {
	if d.Segments == nil {
		return
	}
	removed, err := prune.LocalSegments(ctx, d.Store, d.Segments, d.scope(), d.clock(), d.details, false)
	if err != nil && ctx.Err() == nil {
		log.WithError(err).Error("pruning the journal failed")
	}
	if len(removed) > 0 {
		log.WithField("segments", len(removed)).Debug("pruned the journal")
	}
}

// setSegments records which segments there are on the disk.
func (d *Daemon) setSegments(l snapshot.Listing) {
	var mine []snapshot.SegmentEntry
	for _, e := range l.Segments {
		if e.Name.Node == d.Node && e.Name.Complete() {
			mine = append(mine, e)
		}
	}
	if d.Segments == nil || len(mine) == 0 && d.Status.State().Journal.Local.Bytes == 0 {
		return
	}
	d.Status.SetSegments(status.Local, mine, d.Segments.SegmentEnd)
}
