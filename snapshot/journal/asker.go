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

	leases  chan int64    // to ask for
	answers chan Record   // to that, and to what is asked now and then
	stood   chan struct{} // to ask for the revision
	stands  chan stand
}

func newAsker(m Member, timeout, every time.Duration, compacted int64) *asker {
	return &asker{
		member: m, timeout: timeout, every: every, compacted: compacted,
		leases: make(chan int64, maxAsks), answers: make(chan Record, maxAsks), stood: make(chan struct{}, 1), stands: make(chan stand, 1),
	}
}

func (a *asker) run(ctx context.Context) {
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	a.compaction(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.compaction(ctx)
		case id := <-a.leases:
			a.lease(ctx, id)
		case <-a.stood:
			a.stand(ctx)
		}
	}
}

// compaction does without an answer: the merge then repeats an earlier compaction.
func (a *asker) compaction(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	at, err := a.member.Compacted(limited, a.compacted)
	if err == nil && at > a.compacted {
		a.compacted = at
		send(ctx, a.answers, Record{Kind: KindCompaction, Revision: at})
	}
}

// lease does without an answer too: the merge has a TTL for such leases.
func (a *asker) lease(ctx context.Context, id int64) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if ttl, err := a.member.LeaseTTL(limited, id); err == nil && ttl > 0 {
		send(ctx, a.answers, Record{Kind: KindLease, Lease: id, TTL: ttl})
	}
}

func send[T any](ctx context.Context, answers chan<- T, answer T) {
	select {
	case answers <- answer:
	case <-ctx.Done():
	}
}
