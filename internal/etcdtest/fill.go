package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// fillWorkers is fixed: each worker has its own random numbers, and equal seeds must give equal data on every machine.
	fillWorkers = 4
	// overhead is the size of the database relative to that of the keys and values put into it, measured with 1 GiB: values larger
	// than a page of bbolt take full pages, and others leave pages partly empty.
	overhead = 1.33
)

// FillOptions say how much to write.
type FillOptions struct {
	Bytes int64  // approximate growth of the database; the file does not shrink with the compaction
	Seed  uint64 // equal seeds give equal keys and values, but not equal leases and order of revisions
}

// Filled is the result of Fill.
type Filled struct {
	Keys      int   // existing keys
	Puts      int   // of new and of changed keys
	Deletes   int   // of keys
	Leases    int   // with a TTL of at least an hour
	Bytes     int64 // of the keys and values of all puts
	Revision  int64 // of the store after the last change
	Compacted int64 // the revision at which the store was compacted
}

// Fill writes data like the objects of Kubernetes below /registry/: of 300 bytes to 30 KiB, some up to 500 KiB, protobuf with the API
// server's prefix and JSON, which zstd compresses to a third or a fifth. Some keys have leases, a quarter of the changes are updates,
// some keys are deleted, and at the end the store is compacted, so that an eighth of the history remains.
// It writes with several goroutines in large transactions, each of which is one revision.
func Fill(ctx context.Context, client *clientv3.Client, options FillOptions) (Filled, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := make([]*filler, fillWorkers)
	errs := make([]error, fillWorkers)
	kinds := kinds()
	var group sync.WaitGroup
	for i := range workers {
		workers[i] = newFiller(client, kinds, options.Seed, uint64(i))
		group.Go(func() {
			if errs[i] = workers[i].fill(ctx, int64(float64(options.Bytes)/overhead/fillWorkers)); errs[i] != nil {
				cancel()
			}
		})
	}
	group.Wait()
	var sum Filled
	for _, w := range workers {
		sum.add(w)
	}
	if err := firstCause(errs); err != nil {
		return sum, fmt.Errorf("fill etcd: %w", err)
	}
	return sum, sum.compact(ctx, client)
}

func (f *Filled) add(w *filler) {
	f.Keys += len(w.alive)
	f.Puts += w.puts
	f.Deletes += w.deletes
	f.Leases += len(w.leases)
	f.Bytes += w.bytes
}

// compact removes the history except its last eighth, and returns once the backend has removed it.
func (f *Filled) compact(ctx context.Context, client *clientv3.Client) error {
	response, err := client.Get(ctx, "/registry", clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("fill etcd: ask for the revision: %w", err)
	}
	f.Revision = response.Header.Revision
	f.Compacted = f.Revision - f.Revision/8
	if _, err := client.Compact(ctx, f.Compacted, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("fill etcd: compact to revision %d: %w", f.Compacted, err)
	}
	return nil
}

// firstCause returns the error that stopped the workers rather than those of the workers that it stopped.
func firstCause(errs []error) error {
	var stopped error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		stopped = errors.Join(stopped, err)
	}
	return stopped
}
