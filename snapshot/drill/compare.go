package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// compare checks that the restored etcd contains what the snapshot contains. All requests are for the snapshot's revision: keys
// with expired leases may be deleted as soon as there is a leader, which creates new revisions and changes no old one.
func (d *drill) compare(ctx context.Context) error {
	// If authentication is enabled, the users are the snapshot's. etcd's internal root credential is the only one available here.
	ctx = d.server.Server.AuthStore().WithRoot(ctx)
	d.result.Auth = d.server.Server.AuthStore().IsAuthEnabled()
	d.result.Name = d.report.Manifest.Name
	for _, step := range []func(context.Context) error{d.compareRevision, d.compareKeys, d.compareHash, d.compareSample, d.write} {
		if err := step(ctx); err != nil {
			return d.log.withLog(err)
		}
	}
	return nil
}

func (d *drill) compareRevision(context.Context) error {
	if got := d.server.Server.KV().Rev(); got < d.contents.revision {
		return mismatch("the restored etcd is at revision %d, the snapshot at %d", got, d.contents.revision)
	}
	d.result.Revision = d.contents.revision
	return nil
}

// compareKeys is a linearizable read, so it also proves that the quorum of one works.
func (d *drill) compareKeys(ctx context.Context) error {
	all := []byte{0}
	r, err := retry(ctx, d.server.Server.Range, &pb.RangeRequest{Key: all, RangeEnd: all, CountOnly: true, Revision: d.contents.revision})
	if err != nil {
		return fmt.Errorf("count the keys: %w", err)
	}
	if want := int64(d.report.Keys); r.GetCount() != want {
		return mismatch("the restored etcd has %d keys, the snapshot %d", r.GetCount(), want)
	}
	d.result.Keys = r.GetCount()
	return nil
}

func (d *drill) compareHash(context.Context) error {
	got, _, err := d.server.Server.KV().HashStorage().HashByRev(d.contents.revision)
	if err != nil {
		return fmt.Errorf("hash the restored etcd: %w", err)
	}
	if got != d.contents.hash {
		return mismatch("the restored etcd's HashKV is %+v, the snapshot's %+v", got, d.contents.hash)
	}
	d.result.HashKV, d.result.HashRevision, d.result.CompactRevision = got.Hash, got.Revision, got.CompactRevision
	return nil
}

func (d *drill) compareSample(ctx context.Context) error {
	for _, want := range d.contents.sample {
		r, err := retry(ctx, d.server.Server.Range, &pb.RangeRequest{Key: want.key, Revision: d.contents.revision})
		if err != nil {
			return fmt.Errorf("read key %q: %w", want.key, err)
		}
		got, err := sampleOf(want.key, r.GetKvs())
		if err != nil {
			return err
		}
		if got.has != want.has || got.sum != want.sum {
			return mismatch("the restored etcd has a different entry for key %q", want.key)
		}
		if got.has {
			d.result.Sampled++
		}
	}
	return nil
}

// write checks that the restored etcd accepts writes. Alarms in the snapshot block writes until they are disarmed, as after a
// real restore.
func (d *drill) write(ctx context.Context) error {
	s := d.server.Server
	for _, alarm := range s.Alarms() {
		d.result.Alarms = append(d.result.Alarms, alarm.GetAlarm().String())
		off := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: alarm.GetMemberID(), Alarm: alarm.GetAlarm()}
		if _, err := retry(ctx, s.Alarm, off); err != nil {
			return fmt.Errorf("disarm %s: %w", alarm.GetAlarm(), err)
		}
	}
	slices.Sort(d.result.Alarms)
	d.result.Alarms = slices.Compact(d.result.Alarms)
	key, value := []byte("etcd-rolling-backup/drill"), []byte(d.result.Name)
	put, err := retry(ctx, s.Put, &pb.PutRequest{Key: key, Value: value})
	if err != nil {
		return fmt.Errorf("write to the restored etcd: %w", err)
	}
	r, err := retry(ctx, s.Range, &pb.RangeRequest{Key: key, Revision: put.GetHeader().GetRevision()})
	if err != nil {
		return fmt.Errorf("read what was written: %w", err)
	}
	if len(r.GetKvs()) != 1 || !bytes.Equal(r.GetKvs()[0].GetValue(), value) || put.GetHeader().GetRevision() <= d.contents.revision {
		return mismatch("the restored etcd does not contain what was written to it: revision %d", put.GetHeader().GetRevision())
	}
	return nil
}

// retry repeats a request until ctx ends if etcd answers that it took too long. etcd waits for 7 s, which is short at the lowest
// priority on a busy machine.
func retry[Q, A any](ctx context.Context, ask func(context.Context, Q) (A, error), q Q) (A, error) {
	for {
		a, err := ask(ctx, q)
		late := errors.Is(err, etcderrors.ErrTimeout) || errors.Is(err, etcderrors.ErrTimeoutDueToLeaderFail) ||
			errors.Is(err, etcderrors.ErrTimeoutLeaderTransfer) || errors.Is(err, etcderrors.ErrLeaderChanged) ||
			errors.Is(err, etcderrors.ErrTooManyRequests)
		if !late || ctx.Err() != nil {
			return a, err
		}
	}
}
