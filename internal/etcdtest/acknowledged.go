package etcdtest

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Acknowledged are the times when etcd acknowledged revisions. The zero value has none.
type Acknowledged struct {
	mu    sync.Mutex
	times map[int64]time.Time
}

// Put puts keys like those of Kubernetes at a rate until the context ends, whatever becomes of them.
func (a *Acknowledged) Put(ctx context.Context, client *clientv3.Client, perSecond int) {
	updates := NewUpdates(1)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	var puts sync.WaitGroup
	defer puts.Wait()
	for ctx.Err() == nil {
		key, value := updates.Next()
		puts.Go(func() {
			if r, err := client.Put(ctx, key, value); err == nil {
				a.add(r.Header.Revision, time.Now())
			}
		})
		<-tick.C
	}
}

func (a *Acknowledged) add(revision int64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times == nil {
		a.times = map[int64]time.Time{}
	}
	a.times[revision] = at
}

// Lost is how long before a moment the first revision after last was acknowledged.
func (a *Acknowledged) Lost(last int64, moment time.Time) (longest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for revision, at := range a.times {
		if revision > last {
			longest = max(longest, moment.Sub(at))
		}
	}
	return longest
}
