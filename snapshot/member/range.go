package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	pageBytes = 1 << 20 // that an answer should have, by the size of those before
	pageKeys  = 1000    // that it has at most
	// maxPage is far more than one value that etcd takes, bytes.
	maxPage = 64 << 20
)

// Keys reads the keys of the cluster, as they are at one revision, in etcd's order. It holds one answer of etcd at a time.
type Keys struct {
	member   *Member
	timeout  time.Duration
	from, to []byte
	revision int64
	behind   bool  // nobody confirmed that the revision is the cluster's newest
	limit    int64 // keys that the next answer may have
	page     []*mvccpb.KeyValue
	end      bool
}

// Keys reads those with the prefix. The revision is the newest one when the first is read. timeout is for each answer.
func (m *Member) Keys(prefix []byte, timeout time.Duration) *Keys {
	k := &Keys{member: m, timeout: timeout, limit: 16, from: slices.Clone(prefix), to: []byte{0}}
	if len(prefix) > 0 {
		k.to = []byte(clientv3.GetPrefixRangeEnd(string(prefix)))
	} else {
		k.from = []byte{0}
	}
	return k
}

// Revision is the one at which the keys are read; 0 before the first.
func (k *Keys) Revision() int64 { return k.revision }

// MayBeBehind reports that the cluster has no quorum, so that the keys are those of this member.
func (k *Keys) MayBeBehind() bool { return k.behind }

// Next returns the next key, or nil after the last one. A compaction meanwhile is an error.
func (k *Keys) Next(ctx context.Context) (*mvccpb.KeyValue, error) {
	for len(k.page) == 0 && !k.end {
		if err := k.read(ctx); err != nil {
			return nil, fmt.Errorf("read keys from %s: %w", k.member.endpoint, err)
		}
	}
	if len(k.page) == 0 {
		return nil, nil
	}
	next := k.page[0]
	k.page = k.page[1:]
	return next, nil
}

func (k *Keys) read(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	r, err := pb.NewKVClient(k.member.client.ActiveConnection()).Range(limited,
		&pb.RangeRequest{Key: k.from, RangeEnd: k.to, Limit: k.limit, Revision: k.revision, Serializable: k.behind || k.revision > 0}, grpc.MaxCallRecvMsgSize(maxPage))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case noQuorum(err) && !k.behind && k.revision == 0:
		k.behind = true
		return nil
	case status.Code(err) == codes.ResourceExhausted && k.limit > 1:
		k.limit /= 4 // values became much larger than those before
		k.limit = max(k.limit, 1)
		return nil
	case errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted):
		return fmt.Errorf("etcd compacted revision %d while it was read: run the command again", k.revision)
	case err != nil:
		return explain(err)
	}
	if k.revision == 0 {
		k.revision = r.GetHeader().GetRevision() // of later answers it is the one at their time
	}
	if k.page = r.GetKvs(); len(k.page) == 0 || !r.GetMore() {
		k.end = true
		return nil
	}
	k.from = append(slices.Clone(k.page[len(k.page)-1].GetKey()), 0)
	size := 0
	for _, kv := range k.page {
		size += len(kv.GetKey()) + len(kv.GetValue())
	}
	k.limit = min(max(pageBytes*int64(len(k.page))/int64(max(size, 1)), 1), pageKeys, 4*k.limit)
	return nil
}

// noQuorum reports that a member could not ask the others for the newest revision.
func noQuorum(err error) bool {
	code := status.Code(err)
	return code == codes.DeadlineExceeded || code == codes.Unavailable
}
