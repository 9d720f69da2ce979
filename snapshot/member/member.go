package member

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"etcd-rolling-backup/snapshot"
)

var (
	// ErrDifferentClusters marks endpoints of different clusters.
	ErrDifferentClusters = errors.New("endpoints of different clusters")
	// ErrConnect marks an endpoint that did not answer, or refused the connection.
	ErrConnect = errors.New("ask etcd at")
	// ErrReplaced marks an etcd that was restored, or replaced by another one, between Connect and the end of the stream, or the begin of the watch.
	ErrReplaced = errors.New("etcd was restored or replaced meanwhile")
	// ErrLearner marks a member whose data may be far behind.
	ErrLearner = errors.New("member is a learner")
	// ErrAnswer marks an answer that no etcd member gives.
	ErrAnswer = errors.New("that is not an answer of etcd")
)

// maxAnswer is far more than the list of any cluster's members, bytes. etcd's client accepts 2 GiB.
const maxAnswer = 4 << 20

// gentleWindow is how far a member sends ahead with Config.Gentle, bytes. gRPC would let it grow to 16 MiB and ask for more only when a quarter
// of it is free, so that even a slow stream were bursts of 4 MiB at full speed, which etcd's clients feel. On a network with answers within
// a millisecond it allows 256 MiB per second.
const gentleWindow = 256 << 10

// Member is a connection to one member.
type Member struct {
	endpoint string // as a URL
	cfg      clientv3.Config
	client   *clientv3.Client
	end      context.CancelFunc // the context in which client lives
	source   snapshot.Source
	status   *pb.StatusResponse
	silent   error // errors of the other endpoints
}

// Connect uses the first endpoint, in the given order, that answers. The others that answer must belong to the same cluster.
// Errors wrap ErrConfig or ErrDifferentClusters, or list each endpoint with its error.
func Connect(ctx context.Context, c Config) (*Member, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	var first *Member
	var failed error // errors of the endpoints before the first that answers, and after it
	for _, endpoint := range c.Endpoints {
		m, err := c.dial(ctx, endpoint)
		switch {
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("%w %s: %w", ErrConnect, endpoint, err))
		case first == nil:
			first = m
		default:
			err := m.Close()
			if m.source.ClusterID != first.source.ClusterID {
				err = errors.Join(fmt.Errorf("%w: %s is in %s, %s in %s: set --endpoints to one cluster",
					ErrDifferentClusters, first.endpoint, first.source.ClusterID, m.endpoint, m.source.ClusterID), err)
			}
			if err != nil {
				return nil, errors.Join(err, first.Close())
			}
		}
	}
	if first == nil {
		return nil, failed
	}
	first.silent = failed
	return first, nil
}

func (c Config) dial(ctx context.Context, text string) (_ *Member, err error) {
	// The client lives longer than this call. Until it is created, which requires a login if there is a user, it stops with the
	// caller's ctx.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	keep := context.AfterFunc(ctx, end)
	defer func() {
		if !keep() || err != nil {
			end()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	e, err := c.parseEndpoint(text)
	if err != nil {
		return nil, err
	}
	cfg := clientv3.Config{
		Context:   life,
		Endpoints: []string{e.url}, Username: c.User, Password: string(c.Password),
		DialTimeout: c.Timeout, Logger: zap.NewNop(), MaxCallRecvMsgSize: maxAnswer,
	}
	if c.Gentle {
		cfg.DialOptions = []grpc.DialOption{grpc.WithStaticStreamWindowSize(gentleWindow), grpc.WithStaticConnWindowSize(gentleWindow)}
	}
	if c.KeepAlive { // a server allows no more than one ping each 5 s
		cfg.DialKeepAliveTime, cfg.DialKeepAliveTimeout = 10*time.Second, 3*time.Second
	}
	if e.secure {
		if cfg.TLS, err = c.tlsConfig(); err != nil {
			return nil, err
		}
	}
	client, err := clientv3.New(cfg) // logs in if there is a user
	if err != nil {
		return nil, c.explain(text, e.clarify(ctx, cfg.TLS, err))
	}
	m := &Member{endpoint: e.url, cfg: cfg, client: client, end: end}
	if err := m.describe(ctx); err != nil {
		return nil, errors.Join(c.explain(text, e.clarify(ctx, cfg.TLS, err)), client.Close())
	}
	return m, nil
}

// describe only makes calls that a member answers alone, without quorum.
func (m *Member) describe(ctx context.Context) error {
	// The client's own Status is repeated until ctx ends; the plain call returns the first error.
	status, err := pb.NewMaintenanceClient(m.client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	h := status.GetHeader()
	if h.GetClusterId() == 0 || h.GetMemberId() == 0 {
		return fmt.Errorf("%w: its status has no cluster ID or member ID: is this etcd's client port?", ErrAnswer)
	}
	m.status = status
	m.source = snapshot.Source{
		ClusterID: snapshot.ID(h.ClusterId), MemberID: snapshot.ID(h.MemberId),
		Revision: h.Revision, RaftTerm: status.RaftTerm, RaftIndex: status.RaftIndex,
		EtcdVersion: status.Version, StorageVersion: status.StorageVersion,
		Healthy: status.Leader != 0, Alarms: alarms(status.Errors), DBSizeInUse: max(status.DbSizeInUse, 0),
	}
	if status.IsLearner {
		return nil // it does not list members, and is never backed up
	}
	list, err := m.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return fmt.Errorf("list members: %w", err)
	}
	m.source.Members = membersOf(list)
	return nil
}

func membersOf(list *clientv3.MemberListResponse) (members []snapshot.Member) {
	for _, x := range list.Members {
		members = append(members, snapshot.Member{
			ID: snapshot.ID(x.GetID()), Name: x.GetName(), PeerURLs: x.GetPeerURLs(), ClientURLs: x.GetClientURLs(), Learner: x.GetIsLearner(),
		})
	}
	return members
}

// alarms extracts the names of alarms from a status. etcd's own alarm list goes through raft, so it hangs without quorum. The
// status lists "memberID:1 alarm:NOSPACE" among other texts.
func alarms(texts []string) []string {
	var names []string
	for _, word := range strings.Fields(strings.Join(texts, " ")) {
		if name, ok := strings.CutPrefix(word, "alarm:"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Source describes the member as it was at Connect, and its keys as they were when Stream began.
func (m *Member) Source() snapshot.Source { return m.source }

// Silent returns an error for the endpoints that did not answer; nil if all did.
func (m *Member) Silent() error { return m.silent }

// Endpoint is the URL that answered.
func (m *Member) Endpoint() string { return m.endpoint }

// Leader reports whether the member is the leader of its cluster.
func (m *Member) Leader() bool {
	return m.source.Healthy && m.status.Leader == uint64(m.source.MemberID)
}

// DBSize returns the size of the member's database file in bytes.
func (m *Member) DBSize() int64 { return m.status.DbSize }

// Close closes the connection.
func (m *Member) Close() error {
	defer m.end()
	if err := m.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close connection to %s: %w", m.endpoint, err)
	}
	return nil
}

// Stream implements snapshot.Streamer. It refuses a learner with ErrLearner, because its data is not reliable. If the etcd that has sent the
// stream is not the one that Source describes, the error wraps ErrReplaced.
func (m *Member) Stream(ctx context.Context, w io.Writer, size func(int64)) error {
	if m.status.IsLearner {
		return fmt.Errorf("%w: its data may be behind: set --endpoints to a voting member", ErrLearner)
	}
	m.source.Keys = m.countKeys(ctx)
	stream, err := pb.NewMaintenanceClient(m.client.ActiveConnection()).Snapshot(ctx, &pb.SnapshotRequest{}, grpc.ForceCodecV2(newSnapshotCodec()))
	if err != nil {
		return explain(err)
	}
	for first := true; ; first = false {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return m.unchanged(ctx)
		}
		if err != nil {
			return explain(err)
		}
		if first {
			// The digest comes after the remaining bytes; etcd does not count it.
			size(total(r))
		}
		if _, err := w.Write(r.Blob); err != nil {
			return err
		}
	}
}

// total is the length of the whole stream, by its first message; 0, unknown, if that is absurd.
func total(first *pb.SnapshotResponse) int64 {
	const most = math.MaxInt64 - maxAnswer - sha256.Size
	if first.RemainingBytes > most || len(first.Blob) > maxAnswer {
		return 0
	}
	return int64(len(first.Blob)) + int64(first.RemainingBytes) + sha256.Size
}

// snapshotCodec decodes the messages of one snapshot stream into one buffer, which it reuses. The general codec allocates and
// clears a new buffer for each message and then copies the blob out of it: a sixth of the CPU time of a snapshot.
type snapshotCodec struct {
	encoding.CodecV2 // for requests
	buf              []byte
}

func newSnapshotCodec() *snapshotCodec {
	return &snapshotCodec{CodecV2: encoding.GetCodecV2(proto.Name)}
}

// Unmarshal sets the blob, which is valid until the next call, and the remaining bytes. The other fields stay empty.
func (c *snapshotCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*pb.SnapshotResponse)
	if !ok {
		return fmt.Errorf("decode snapshot message: into a %T", v)
	}
	c.buf = c.buf[:0]
	for _, piece := range data {
		c.buf = append(c.buf, piece.ReadOnlyData()...)
	}
	m.Blob, m.RemainingBytes = nil, 0
	for b := c.buf; len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("decode snapshot message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch {
		case field == 2 && kind == protowire.VarintType: // remaining_bytes in etcd's rpc.proto
			m.RemainingBytes, n = protowire.ConsumeVarint(b)
		case field == 3 && kind == protowire.BytesType: // blob
			m.Blob, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("decode snapshot message: field %d: %w", field, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return nil
}
