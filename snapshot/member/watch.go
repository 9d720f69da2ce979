package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/snapshot"
)

var (
	// ErrCompacted marks a revision that etcd no longer has.
	ErrCompacted = errors.New("etcd has compacted this revision")
	// ErrNoLeader marks a watch that ended because the member has no leader: it would show nothing that the others decide without it.
	ErrNoLeader = errors.New("the member has no leader: is there a quorum?")
	// ErrReadRights marks a user who may not read all keys.
	ErrReadRights = errors.New("the user must have a role that may read all keys")
)

// Watch is a stream of all changes of all keys. It is etcd's plain stream: the client's own watch would put the fragments of a response together,
// however large it is, and would open the watch again on its own.
type Watch struct {
	Head   int64 // the revision of the cluster when the watch was opened: events up to it are not new
	stream pb.Watch_WatchClient
}

// Watch opens a watch from a revision on, which it includes. It ends with ctx, or when the member has no leader. A revision that etcd no longer
// has wraps ErrCompacted; if the etcd is not the one that Source describes, or was restored since, the error wraps ErrReplaced.
func (m *Member) Watch(ctx context.Context, from int64) (*Watch, error) {
	stream, err := pb.NewWatchClient(m.client.ActiveConnection()).Watch(clientv3.WithRequireLeader(ctx), grpc.MaxCallRecvMsgSize(maxPage))
	if err != nil {
		return nil, ended(err)
	}
	all := []byte{0} // as key and end of the range: every key
	create := &pb.WatchCreateRequest{Key: all, RangeEnd: all, StartRevision: from, Fragment: true, ProgressNotify: true}
	if err := sent(stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})); err != nil {
		return nil, ended(err)
	}
	w := &Watch{stream: stream}
	r, err := w.Recv()
	if err != nil {
		return nil, err
	}
	if !r.GetCreated() {
		return nil, fmt.Errorf("%w: a watch that was not created", ErrAnswer)
	}
	h, was := r.GetHeader(), m.source
	if snapshot.ID(h.GetClusterId()) != was.ClusterID || snapshot.ID(h.GetMemberId()) != was.MemberID || h.GetRevision() < was.Revision {
		return nil, fmt.Errorf("%w: %s had cluster %s, member %s and revision %d, and now has %s, %s and %d", ErrReplaced, m.endpoint,
			was.ClusterID, was.MemberID, was.Revision, snapshot.ID(h.GetClusterId()), snapshot.ID(h.GetMemberId()), h.GetRevision())
	}
	w.Head = h.GetRevision()
	return w, nil
}

// Recv returns the next response. One that is a Fragment is continued by the next one.
func (w *Watch) Recv() (*pb.WatchResponse, error) {
	r, err := w.stream.Recv()
	switch {
	case err != nil:
		return nil, ended(err)
	case r.GetCompactRevision() != 0:
		return nil, fmt.Errorf("%w: it begins at %d", ErrCompacted, r.GetCompactRevision())
	case r.GetCanceled():
		reason := r.GetCancelReason()
		if _, text, ok := strings.Cut(reason, " desc = "); ok { // etcd sends a gRPC error as text
			reason = text
		}
		return nil, fmt.Errorf("etcd ended the watch: %w", ended(status.Error(codes.Unknown, reason)))
	}
	return r, nil
}

// sent is the error of a request on a stream. If the server has ended the stream, only receiving says why.
func sent(err error) error {
	if err == io.EOF { //nolint:errorlint // as gRPC returns it
		return nil
	}
	return err
}

// ended is explain for a watch.
func ended(err error) error {
	switch cause := rpctypes.Error(err); {
	case errors.Is(cause, rpctypes.ErrNoLeader):
		return ErrNoLeader
	case errors.Is(cause, rpctypes.ErrPermissionDenied):
		return ErrReadRights
	}
	return explain(err)
}

// RequestProgress asks for a response without events, whose header has the revision of the member. It may overtake events that are on the way.
func (w *Watch) RequestProgress() error {
	err := sent(w.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}))
	if err != nil {
		return ended(err)
	}
	return nil
}

// LeaseTTL returns the time in seconds that was granted to a lease; 0: it does not exist any more.
func (m *Member) LeaseTTL(ctx context.Context, id int64) (int64, error) {
	r, err := pb.NewLeaseClient(m.client.ActiveConnection()).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
	if err != nil {
		return 0, explain(err)
	}
	return r.GetGrantedTTL(), nil
}

// Revision returns that of the cluster, by a linearizable read: what was acknowledged before the call has it or a lower one.
func (m *Member) Revision(ctx context.Context) (int64, error) {
	r, err := pb.NewKVClient(m.client.ActiveConnection()).Range(ctx, &pb.RangeRequest{Key: []byte{0}, Limit: 1, CountOnly: true})
	if err != nil {
		return 0, explain(err)
	}
	return r.GetHeader().GetRevision(), nil
}

// Compacted returns the revision up to which etcd has compacted, given one from before; 0: not known. It reads no key.
func (m *Member) Compacted(ctx context.Context, known int64) (int64, error) {
	at, all := max(known, 1), []byte{0}
	_, err := pb.NewKVClient(m.client.ActiveConnection()).Range(ctx, &pb.RangeRequest{Key: all, RangeEnd: all, Limit: 1, CountOnly: true, Serializable: true, Revision: at})
	switch {
	case err == nil:
		return known, nil
	case !errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted):
		return 0, ended(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(m.client.ActiveConnection()).Watch(ctx)
	if err != nil {
		return 0, explain(err)
	}
	create := &pb.WatchCreateRequest{Key: all, StartRevision: at}
	if err := sent(stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})); err != nil {
		return 0, explain(err)
	}
	for {
		r, err := stream.Recv()
		switch {
		case err != nil:
			return 0, explain(err)
		case r.GetCompactRevision() != 0:
			return r.GetCompactRevision(), nil
		case r.GetCanceled() || !r.GetCreated():
			return 0, fmt.Errorf("%w: a watch of a compacted revision goes on", ErrAnswer)
		}
	}
}
