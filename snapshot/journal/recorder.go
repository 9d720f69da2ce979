package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
)

// Source is a watch of all keys; *member.Watch is one.
type Source interface {
	Recv() (*pb.WatchResponse, error)
}

// Member answers what the watch does not show; *member.Member is one.
type Member interface {
	// LeaseTTL returns the time granted to a lease, in seconds; 0: it has expired.
	LeaseTTL(ctx context.Context, id int64) (int64, error)
	// Compacted returns the revision up to which etcd has compacted, given one from before.
	Compacted(ctx context.Context, known int64) (int64, error)
	// Revision returns that of the cluster: what was acknowledged before the call has it or a lower one.
	Revision(ctx context.Context) (int64, error)
}

// Options say how to record.
type Options struct {
	Header                 // of each segment, without what the recorder knows: time, first revision, digest, compaction; Restored is for the first one
	Sync     time.Duration // at most so much is lost if the machine loses power
	Seal     time.Duration // how long a segment is written
	SealSize int64         // bytes, or until it is so large
	Timeout  time.Duration // of each question to the member
	// From is the revision with which the watch of a new journal begins, so that it misses none after it; 0: not known.
	From int64
	// Tail is what the watch must show again before the last revision of the journal, if it begins so early.
	Tail Tail
	// Clock is what the clock on the wall shows at a time, which the records have; nil: that time. Durations are measured without it.
	Clock func(time.Time) time.Time
	// Room returns an error if the disk has no room for a journal, which then ends; nil: it always has.
	Room func() error
	// Seen is called when all responses until now are in the journal's file: its last revision, and that of the member. It must not block.
	Seen func(last, head int64)
	// Quiet is called when the member has shown that nothing has changed for a while. It must not block.
	Quiet func(Quiet)
	// Sealed is called for each complete segment, as soon as it is safe on the disk. It must not block.
	Sealed func(Manifest)
}

// Recorder writes the events of a watch into segments.
type Recorder struct {
	dir *snapshot.Dir
	o   Options

	last      int64  // the last revision in the journal; 0: none
	digest    string // of it
	compacted int64

	// Of the segment that is being written; out nil: there is none.
	part    *snapshot.Part
	out     *Writer
	done    *Writer // of the segment before; nil: there was none
	buf     []byte  // of an event
	begun   time.Time
	synced  bool
	size    int              // bytes since the last checkpoint
	counts  time.Time        // of the last checkpoint: what came before counts
	came    time.Time        // when the last response came
	changed time.Time        // when the last one with an event came
	due     <-chan time.Time // when what came since must count; nil: nothing is whole and waits
	leases  map[int64]bool   // that were asked for
	notes   []Record         // answers that came when there was no segment

	// Of the watch.
	head   int64  // of the cluster when it was opened, or after a standstill
	header int64  // the revision of the member in the last response
	joined bool   // it has shown the last revision again
	own    digest // of a revision up to that one, as it shows it

	turned time.Time // when the recorder was last ready for a response
	stood  time.Time // when it was after a standstill, until it knows what came meanwhile; zero: it does
}

const (
	// largeBatch is after how many bytes complete revisions get a checkpoint, also within a response in fragments.
	largeBatch = 1 << 20
	// batchTime is how long a response may wait for others, so that many small ones cost one write. It is all that is lost when this process is
	// killed. A response after a pause does not wait.
	batchTime = 20 * time.Millisecond
)

// NewRecorder continues a journal behind a revision with this digest. last 0 begins a new one.
func NewRecorder(dir *snapshot.Dir, o Options, last int64, digest string) *Recorder {
	return &Recorder{dir: dir, o: o, last: last, digest: digest}
}

// Last is the last revision in the journal, which the next watch must begin with; 0: none.
func (r *Recorder) Last() int64 { return r.last }

// Run records a watch until it ends or ctx does, and then completes the segment. The watch begins with the last revision, or with that of the tail. Their
// events must be those in the journal: otherwise the error wraps ErrHistory, or ErrGap if revisions are missing. head is the cluster's revision when the watch
// was opened. The caller ends the watch after Run.
func (r *Recorder) Run(ctx context.Context, src Source, m Member, head int64) (err error) {
	outer := ctx // that of the watch too: when the watch sees its end, ctx may not have seen it yet
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.head, r.joined, r.own, r.leases = head, r.last == 0, digest{}, map[int64]bool{}
	r.turned, r.stood = time.Now(), time.Time{}
	responses, ended := receive(ctx, src)
	a, helper := newAsker(m, r.o.Timeout, r.o.Seal, r.compacted), make(chan struct{})
	go func() {
		defer close(helper)
		a.run(ctx)
	}()
	defer func() {
		cancel()
		<-helper
		err = errors.Join(err, r.finish(context.WithoutCancel(ctx)))
	}()
	next, turns := time.NewTimer(r.o.Sync), time.NewTicker(turnTime)
	defer next.Stop()
	defer turns.Stop()
	r.due = nil
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err = <-ended:
		case resp := <-responses:
			r.turn(a)
			err = r.response(ctx, resp, a.leases)
		case <-turns.C:
			r.turn(a)
		case s := <-a.stands:
			r.caughtUp(s)
		case <-r.due:
			err = r.checkpoint(ctx)
			r.seen(err)
		case note := <-a.answers:
			err = r.note(note)
		case <-next.C:
			begun := time.Now()
			err = r.sync(ctx)
			next.Reset(max(r.o.Sync-time.Since(begun), r.o.Sync/4)) // what comes meanwhile waits for the end of the next one
		}
		switch {
		case err != nil && outer.Err() != nil: // the cause, not what the connection made of it
			return context.Cause(outer)
		case err != nil:
			return err
		}
	}
}

// seen reports where the journal is, unless a part of what came does not count yet.
func (r *Recorder) seen(err error) {
	if err == nil && r.size == 0 && r.o.Seen != nil {
		r.o.Seen(r.last, r.header)
	}
}

// wall is what the clock on the wall shows at a time.
func (r *Recorder) wall(t time.Time) time.Time {
	if r.o.Clock != nil {
		t = r.o.Clock(t)
	}
	return t
}

// receive reads the watch until it or ctx ends.
func receive(ctx context.Context, src Source) (<-chan *pb.WatchResponse, <-chan error) {
	responses, ended := make(chan *pb.WatchResponse), make(chan error, 1)
	go func() {
		for {
			resp, err := src.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case responses <- resp:
			case <-ctx.Done():
				return
			}
		}
	}()
	return responses, ended
}

// response takes one, and reports what it shows.
func (r *Recorder) response(ctx context.Context, resp *pb.WatchResponse, asks chan<- int64) error {
	r.header = resp.GetHeader().GetRevision()
	err := r.take(ctx, resp, asks)
	if err != nil {
		r.due = nil // what it brought may not be whole
	}
	r.seen(err)
	if err == nil {
		r.quiet(len(resp.GetEvents()))
	}
	return err
}

// take writes a response.
func (r *Recorder) take(ctx context.Context, resp *pb.WatchResponse, asks chan<- int64) error {
	if id := snapshot.ID(resp.GetHeader().GetClusterId()); id != r.o.ClusterID {
		return fmt.Errorf("%w: the watch is of the cluster %s, not %s", ErrHistory, id, r.o.ClusterID)
	}
	if resp.GetFragment() && r.due != nil { // what came before is whole
		if err := r.checkpoint(ctx); err != nil {
			return err
		}
	}
	r.came = r.turned
	if len(resp.GetEvents()) > 0 {
		r.changed = r.came
	}
	for _, e := range resp.GetEvents() {
		kv := e.GetKv()
		rec := Record{Kind: KindPut, Revision: kv.GetModRevision()}
		var err error
		if e.GetType() == mvccpb.Event_DELETE {
			rec.Kind, rec.Data = KindDelete, kv.GetKey()
		} else {
			r.buf, err = proto.MarshalOptions{}.MarshalAppend(r.buf[:0], kv)
			if rec.Data = r.buf; err != nil {
				return fmt.Errorf("encode event: %w", err)
			}
		}
		if err := r.event(ctx, rec); err != nil {
			return err
		}
		if id := kv.GetLease(); id != 0 && r.out != nil && !r.leases[id] {
			select {
			case asks <- id:
				r.leases[id] = true
			default: // the merge has a TTL for such leases
			}
		}
	}
	if resp.GetFragment() || r.size == 0 {
		return nil
	}
	return r.batch(ctx)
}

// event writes one event, unless the journal has it.
func (r *Recorder) event(ctx context.Context, rec Record) error {
	switch {
	case r.last == 0 && r.o.From > 0 && rec.Revision > r.o.From+1:
		return fmt.Errorf("%w: the watch from revision %d begins with %d", ErrGap, r.o.From, rec.Revision)
	case r.last == 0: // the first of a new journal
		r.last = rec.Revision - 1
	case !r.joined && rec.Revision <= r.last:
		return r.again(rec)
	case !r.joined && r.own.revision != r.last:
		return fmt.Errorf("%w: the watch does not show revision %d again", ErrGap, r.last)
	case !r.joined:
		if err := r.same(r.digest); err != nil {
			return err
		}
	}
	r.joined = true
	if rec.Revision > r.last && r.size >= largeBatch {
		if err := r.checkpoint(ctx); err != nil {
			return err
		}
	}
	if r.out == nil {
		if err := r.begin(ctx, rec.Revision, r.came); err != nil {
			return err
		}
	}
	if err := r.out.Write(rec); err != nil {
		return err
	}
	r.last, r.size = rec.Revision, r.size+recordHeader+numberLen+len(rec.Data)
	return nil
}

// again takes an event that the journal has.
func (r *Recorder) again(rec Record) error {
	if want := r.o.Tail.of(r.own.revision); rec.Revision != r.own.revision && want != "" { // all of that one was shown
		if err := r.same(want); err != nil {
			return err
		}
	}
	r.own.add(rec)
	return nil
}

// same demands that the watch has shown a revision as it is in the journal.
func (r *Recorder) same(digest string) error {
	if r.own.String() != digest {
		return fmt.Errorf("%w: revision %d has other events than in the journal", ErrHistory, r.own.revision)
	}
	return nil
}

// note writes what the member answered.
func (r *Recorder) note(n Record) error {
	if n.Kind == KindCompaction {
		r.compacted = max(r.compacted, n.Revision)
	}
	switch {
	case r.out != nil:
		return r.out.Write(n)
	case n.Kind == KindLease:
		r.notes = append(r.notes, n)
	}
	return nil
}
