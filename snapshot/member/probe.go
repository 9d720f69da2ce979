package member

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Probe makes light requests to one member, to measure how fast it answers. Its connection is its own: on that of a snapshot stream an
// answer would wait behind the stream's bytes. It is for one goroutine.
type Probe struct {
	client *clientv3.Client
	end    context.CancelFunc // the context in which client lives
	denied bool               // the user may read no key
}

// NewProbe connects to the member once more, which is a further login if there is a user.
func (m *Member) NewProbe(ctx context.Context) (*Probe, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	keep := context.AfterFunc(ctx, end) // a login ends with ctx, the connection does not
	cfg := m.cfg
	cfg.Context = life
	client, err := clientv3.New(cfg)
	if err == nil && !keep() {
		err = errors.Join(context.Cause(ctx), client.Close())
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("connect to %s to measure its latency: %w", m.endpoint, explain(err))
	}
	return &Probe{client: client, end: end}, nil
}

// Probe returns when the member has answered: a serializable read of one key that need not exist, or, if the user may not read it, the
// member's status. Neither needs a quorum.
func (p *Probe) Probe(ctx context.Context) error {
	// The plain calls are not repeated. They wait for the connection, so that a new one is no error.
	conn, wait := p.client.ActiveConnection(), grpc.WaitForReady(true)
	if !p.denied {
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, Serializable: true, Limit: 1, KeysOnly: true}, wait)
		switch status.Code(err) {
		case codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition, codes.InvalidArgument: // as CatchUp
			p.denied = true
		default:
			return err
		}
	}
	_, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{}, wait)
	return err
}

// Close closes the connection.
func (p *Probe) Close() error {
	defer p.end()
	if err := p.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close the connection that measures latency: %w", err)
	}
	return nil
}
