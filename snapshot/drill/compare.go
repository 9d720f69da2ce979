package drill

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// compare checks that the restored etcd contains what the snapshot contains. All requests are for the snapshot's revision: keys
// with expired leases may be deleted as soon as there is a leader, which creates new revisions and changes no old one.
func (d *drill) compare(ctx context.Context) error {
	// If authentication is enabled, the users are the snapshot's. etcd's internal root credential is the only one available here.
	ctx = d.server.Server.AuthStore().WithRoot(ctx)
	d.result.Auth = d.server.Server.AuthStore().IsAuthEnabled()
	if m := d.report.Manifest; m != nil {
		d.result.Name, d.result.Cluster = m.Name, m.ClusterID
	}
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
	d.result.Keys, d.result.Resources = r.GetCount(), d.report.Resources
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

// sampleSize is the smallest number of sampled entries, if the database has that many, and half of the largest number.
const sampleSize = 100

// contents describes the content of a snapshot's database.
type contents struct {
	revision int64
	hash     mvcc.KeyValueHash // of all that is not compacted, up to revision
	sample   []sampled
}

// sampled is a key as it is at the newest revision.
type sampled struct {
	key []byte
	sum [sha256.Size]byte // of the entry; a value may have 1.5 MiB
	has bool              // the key exists
}

// readDatabase lets etcd's store read a file, as "etcdutl hashkv" does. It opens the file for writing, because etcd's backend has
// no other way. Nothing is closed if that panics: it may hold a lock then, and closing would wait for that forever.
func readDatabase(ctx context.Context, log *zap.Logger, path string) (h contents, err error) {
	b := backend.NewDefaultBackend(log, path)
	store := mvcc.NewStore(log, b, noLeases{}, mvcc.StoreConfig{})
	h, err = readStore(ctx, store, b)
	return h, cmp.Or(err, store.Close(), b.Close()) // a later error is a consequence of the first
}

func readStore(ctx context.Context, store mvcc.KV, b backend.Backend) (h contents, err error) {
	h.revision = store.Rev()
	if h.hash, _, err = store.HashStorage().HashByRev(h.revision); err != nil {
		return h, fmt.Errorf("hash the snapshot: %w", err)
	}
	keys, err := sampleKeys(b)
	if err != nil {
		return h, err
	}
	for _, key := range keys {
		r, err := store.Range(ctx, key, nil, mvcc.RangeOptions{Rev: h.revision})
		if err != nil {
			return h, fmt.Errorf("read key %q of the snapshot: %w", key, err)
		}
		s, err := sampleOf(key, r.KVs)
		if err != nil {
			return h, err
		}
		h.sample = append(h.sample, s)
	}
	return h, nil
}

func sampleOf(key []byte, found []*mvccpb.KeyValue) (sampled, error) {
	s := sampled{key: key, has: len(found) == 1}
	if !s.has {
		return s, nil
	}
	entry, err := proto.MarshalOptions{Deterministic: true}.Marshal(found[0])
	if err != nil {
		return s, fmt.Errorf("key %q: %w", key, err)
	}
	s.sum = sha256.Sum256(entry)
	return s, nil
}

// sampleKeys reads all entries in the order of their revisions and takes keys at equal distances. If there are too many keys, it
// doubles the distance, because the number of entries is known only at the end.
func sampleKeys(b backend.Backend) ([][]byte, error) {
	var keys [][]byte
	distance, seen := 1, 0
	tx := b.ReadTx()
	tx.RLock()
	defer tx.RUnlock()
	err := tx.UnsafeForEach(schema.Key, func(revision, value []byte) error {
		seen++
		if (seen-1)%distance != 0 || mvcc.IsTombstone(revision) {
			return nil
		}
		var entry mvccpb.KeyValue
		if err := proto.Unmarshal(value, &entry); err != nil {
			return mismatch("the entry of revision %x: %v", revision, err)
		}
		if len(entry.GetKey()) == 0 { // of a raised revision: no request can ask for it
			return nil
		}
		if keys = append(keys, entry.GetKey()); len(keys) == 2*sampleSize {
			for i := range sampleSize {
				keys[i] = keys[2*i]
			}
			keys, distance = keys[:sampleSize], 2*distance
		}
		return nil
	})
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal), err // a key that changes often has many entries
}

// noLeases lets a store be read without the leases of its keys. Reading calls only these two methods.
type noLeases struct{ lease.Lessor }

func (noLeases) SetRangeDeleter(lease.RangeDeleter)            {}
func (noLeases) Attach(lease.LeaseID, []lease.LeaseItem) error { return nil }
