package etcdtest

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// batchOps is etcd's default --max-txn-ops, batchBytes stays below its --max-request-bytes of 1.5 MiB
	// also when the largest object comes last.
	batchOps   = 128
	batchBytes = 768 << 10
	// leaseCount and leaseTTL (seconds): in Kubernetes too, events of the same time share a lease, and are kept for an hour.
	leaseCount = 4
	leaseTTL   = 3600
)

// filler makes changes to its own keys, from its own random numbers. It is for one goroutine.
type filler struct {
	client *clientv3.Client
	kinds  []kind
	weight int // the sum over all kinds
	rng    *rand.Rand
	enc    encoder
	leases []clientv3.LeaseID
	alive  []object

	batch    int // the number of the transaction in preparation
	ops      []clientv3.Op
	opsBytes int
	puts     int
	deletes  int
	bytes    int64
}

func newFiller(client *clientv3.Client, kinds []kind, seed, stream uint64) *filler {
	f := &filler{client: client, kinds: kinds, rng: rand.New(rand.NewPCG(seed, stream)), batch: 1}
	for _, k := range kinds {
		f.weight += k.weight
	}
	return f
}

// fill makes changes until their keys and values have limit bytes in total.
func (f *filler) fill(ctx context.Context, limit int64) error {
	if err := f.grant(ctx, leaseCount); err != nil {
		return err
	}
	for f.bytes < limit {
		f.change()
		if len(f.ops) < batchOps && f.opsBytes < batchBytes {
			continue
		}
		if err := f.flush(ctx); err != nil {
			return err
		}
	}
	return f.flush(ctx)
}

func (f *filler) grant(ctx context.Context, n int) error {
	for range n {
		lease, err := f.client.Grant(ctx, leaseTTL+f.rng.Int64N(leaseTTL))
		if err != nil {
			return fmt.Errorf("grant lease: %w", err)
		}
		f.leases = append(f.leases, lease.ID)
	}
	return nil
}

// change prepares one change: of 20, one is a delete, five are updates and the rest are new objects.
func (f *filler) change() {
	dice := f.rng.IntN(20)
	if dice > 5 || len(f.alive) == 0 {
		f.alive = append(f.alive, object{kind: f.pick(), seed: f.rng.Uint64()})
		f.put(&f.alive[len(f.alive)-1])
		return
	}
	// New objects change most often, so those at the end are preferred.
	u := f.rng.Float64()
	i := int(float64(len(f.alive)) * (1 - u*u*u))
	i = min(i, len(f.alive)-1)
	o := &f.alive[i]
	if o.batch == f.batch {
		return // already in this transaction; the next change picks another one
	}
	if dice == 0 {
		f.remove(i)
		return
	}
	o.gen++
	f.put(o)
}

// remove prepares the deletion of an object, unless this transaction already changes it.
func (f *filler) remove(i int) {
	key, _ := f.alive[i].content(&f.enc)
	f.add(clientv3.OpDelete(key), len(key))
	f.deletes++
	f.alive[i] = f.alive[len(f.alive)-1]
	f.alive = f.alive[:len(f.alive)-1]
}

func (f *filler) put(o *object) {
	o.batch = f.batch
	key, value := o.content(&f.enc)
	var lease clientv3.LeaseID // none
	if o.kind.scope == leased {
		lease = f.leases[o.seed%uint64(len(f.leases))]
	}
	f.add(clientv3.OpPut(key, value, clientv3.WithLease(lease)), len(key)+len(value))
	f.puts++
}

func (f *filler) add(op clientv3.Op, bytes int) {
	f.ops = append(f.ops, op)
	f.opsBytes += bytes
	f.bytes += int64(bytes)
}

// flush commits the prepared changes as one transaction.
func (f *filler) flush(ctx context.Context) error {
	if len(f.ops) == 0 {
		return nil
	}
	if _, err := f.client.Txn(ctx).Then(f.ops...).Commit(); err != nil {
		return fmt.Errorf("commit %d changes of %d bytes: %w", len(f.ops), f.opsBytes, err)
	}
	f.ops, f.opsBytes = f.ops[:0], 0
	f.batch++
	return nil
}

// pick draws a kind by weight.
func (f *filler) pick() *kind {
	n := f.rng.IntN(f.weight)
	for i := range f.kinds {
		if n -= f.kinds[i].weight; n < 0 {
			return &f.kinds[i]
		}
	}
	return &f.kinds[0]
}
