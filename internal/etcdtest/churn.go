package etcdtest

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// churnKeys is the maximum number of keys of Churn, so that in a long run only the history grows.
const churnKeys = 500

// Churn changes keys like those of Fill, one change at each tick of every, until the context ends, and then returns nil.
// It returns an error if a request fails, for example because the server is down.
func Churn(ctx context.Context, client *clientv3.Client, seed uint64, every time.Duration) error {
	f := newFiller(client, kinds(), seed, fillWorkers) // random numbers that no worker of Fill uses
	if err := f.grant(ctx, 1); err != nil {
		return churnError(ctx, err)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f.change()
		if len(f.alive) > churnKeys {
			f.remove(f.rng.IntN(churnKeys)) // the newest, which this transaction has put, is behind these
		}
		if err := f.flush(ctx); err != nil {
			return churnError(ctx, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func churnError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("churn etcd: %w", err)
}
