package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// fillWorkers is fixed, for each has its own random numbers and equal seeds shall give equal data on every machine.
	fillWorkers = 4
	// overhead is the size of the database over that of the keys and values put into it, measured with 1 GiB: values larger
	// than a page of bbolt take whole pages, and the others leave pages partly empty.
	overhead = 1.33
)

// FillOptions say how much to write.
type FillOptions struct {
	Bytes int64  // by how much the database grows, about; all of it stays in the file after the compaction
	Seed  uint64 // equal seeds give equal keys and values; leases and the order of revisions are etcd's
}

// Filled is what a fill has written.
type Filled struct {
	Keys      int   // that are alive
	Puts      int   // those of new keys and of changed ones
	Deletes   int   // of keys
	Leases    int   // with an hour and more to live
	Bytes     int64 // of the keys and values of all puts
	Revision  int64 // of the store after the last change
	Compacted int64 // the revision at which the store was compacted
}

// Fill writes data shaped like the objects of Kubernetes below /registry/: of 300 bytes to 30 KiB, some up to 500 KiB,
// protobuf with the API server's prefix and JSON, of which zstd makes a third to a fifth. Some keys belong to leases, a quarter of the changes
// are updates, some keys are deleted, and at the end the store is compacted, so that an eighth of the history remains.
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

// compact drops the history but for its last eighth, and returns when the backend has removed it.
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

// firstCause prefers the error that made the workers stop over those of the workers that were stopped by it.
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
