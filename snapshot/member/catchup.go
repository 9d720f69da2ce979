package member

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// CatchUp waits until the member has applied every write that the cluster acknowledged before the call, so that a snapshot opened after
// it has them all. A follower may lag: its stream is its own applied state. CatchUp is a linearizable read of one key that need not
// exist. The member answers it only with a quorum, so ctx must have a deadline. It does nothing for a learner, which Stream refuses.
func (m *Member) CatchUp(ctx context.Context) error {
	if m.status.IsLearner {
		return nil
	}
	r, err := pb.NewKVClient(m.client.ActiveConnection()).Range(ctx, &pb.RangeRequest{Key: []byte{0}, Limit: 1, CountOnly: true})
	switch status.Code(err) {
	case codes.OK:
		m.source.Revision = max(m.source.Revision, r.GetHeader().GetRevision())
		return nil
	case codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition, codes.InvalidArgument:
		return nil // the user may not read the key; etcd finds that out after the wait (etcd, server/etcdserver/v3_server.go: Range)
	default:
		return fmt.Errorf("linearizable read: %w", err)
	}
}
