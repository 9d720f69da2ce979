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

// recallNewest tells what the newest in the bucket holds where the disk is new and has nothing to compare with: etcd may be as new. Damage is
// told; an error is that it can't be read.
func recallNewest(ctx context.Context, local, remote []snapshot.Entry, bucket Bucket, o MirrorOptions, now time.Time) error {
	e, ok := Newest(snapshot.Listing{Snapshots: remote}, o.Node, now)
	here := func(x snapshot.Entry) bool { return x.Name == e.Name }
	if !ok || !o.Recorder.Blank() || slices.ContainsFunc(local, here) {
		return nil
	}
	tail, bytes, err := bucket.Tail(ctx, e.Name)
	if err != nil {
		return fmt.Errorf("compare with the newest in the bucket: %w", err)
	}
	m, _, err := snapshot.DecodeTail(tail, bytes)
	if errors.Is(err, snapshot.ErrDamaged) {
		o.Recorder.Damaged(metrics.S3, now, e.Name.String(), err.Error())
	}
	if err == nil {
		o.Recorder.Remember([]metrics.Past{{Name: e.Name.String(), Time: e.Name.Time, RawSize: m.RawSize, Revision: m.Revision}})
	}
	return nil
}
