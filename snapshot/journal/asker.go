package journal

import (
	"context"
	"time"
)

// maxAsks is how many leases wait for an answer. Those beyond get no record.
const maxAsks = 1024

// asker asks the member what the watch does not show, so that no answer delays the watch.
type asker struct {
	member    Member
	timeout   time.Duration
	every     time.Duration // the compaction
	compacted int64
}

func (a *asker) run(ctx context.Context, asks <-chan int64, answers chan<- Record) {
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	a.compaction(ctx, answers)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.compaction(ctx, answers)
		case id := <-asks:
			a.lease(ctx, id, answers)
		}
	}
}

// compaction does without an answer: the merge then repeats an earlier compaction.
func (a *asker) compaction(ctx context.Context, answers chan<- Record) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	at, err := a.member.Compacted(limited, a.compacted)
	if err == nil && at > a.compacted {
		a.compacted = at
		send(ctx, answers, Record{Kind: KindCompaction, Revision: at})
	}
}

// lease does without an answer too: the merge has a TTL for such leases.
func (a *asker) lease(ctx context.Context, id int64, answers chan<- Record) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if ttl, err := a.member.LeaseTTL(limited, id); err == nil && ttl > 0 {
		send(ctx, answers, Record{Kind: KindLease, Lease: id, TTL: ttl})
	}
}

func send(ctx context.Context, answers chan<- Record, r Record) {
	select {
	case answers <- r:
	case <-ctx.Done():
	}
}
