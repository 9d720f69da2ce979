package member

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd-rolling-backup/snapshot"
)

// unchanged demands that etcd is still the one that Connect has asked. The client connects again on its own when the connection ends, and then another etcd
// may answer there: one with restored data, or another member. Raft index and revision of a member only grow; a restore that keeps all
// IDs begins with a low raft index. An etcd that does not answer by now is no reason to lose what it has sent.
func (m *Member) unchanged(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.DialTimeout)
	defer cancel()
	status, err := pb.NewMaintenanceClient(m.client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return nil
	}
	h, was := status.GetHeader(), m.source
	cluster, member := snapshot.ID(h.GetClusterId()), snapshot.ID(h.GetMemberId())
	if cluster == was.ClusterID && member == was.MemberID && status.RaftIndex >= was.RaftIndex && h.GetRevision() >= was.Revision {
		return nil
	}
	return fmt.Errorf("%w: before it, %s had cluster %s, member %s, raft index %d and revision %d, and after it %s, %s, %d and %d: take another one",
		ErrReplaced, m.endpoint, was.ClusterID, was.MemberID, was.RaftIndex, was.Revision, cluster, member, status.RaftIndex, h.GetRevision())
}
