package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// recallNewest tells what the newest holds that is in the bucket and not on the disk, where the disk is new and has nothing to compare with:
// etcd may be as new. Damaged ones are told and passed over; an error is that one can't be read.
func recallNewest(ctx context.Context, local, remote []snapshot.Entry, bucket Bucket, o MirrorOptions, now time.Time) error {
	if !o.Recorder.Blank() {
		return nil
	}
	for _, e := range remote { // newest first
		here := func(x snapshot.Entry) bool { return x.Name == e.Name }
		if !e.Name.Rolling(o.Node) || e.Name.Time.After(now) || slices.ContainsFunc(local, here) {
			continue
		}
		tail, bytes, err := bucket.Tail(ctx, e.Name)
		var m snapshot.Manifest
		if err == nil {
			m, _, err = snapshot.DecodeTail(tail, bytes)
		}
		if errors.Is(err, snapshot.ErrDamaged) {
			o.Recorder.Damaged(metrics.S3, now, e.Name.String(), err.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("compare with %s in the bucket: %w", e.Name, err)
		}
		o.Recorder.Remember([]metrics.Past{{Name: e.Name.String(), Time: e.Name.Time, RawSize: m.RawSize, Revision: m.Revision}})
		return nil
	}
	o.Recorder.Remember(nil) // there is nothing to compare with
	return nil
}
