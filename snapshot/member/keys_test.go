package member_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// putKeys writes n keys twice and deletes another, so that there are more revisions than live keys.
func putKeys(t *testing.T, c *etcdtest.Cluster, n int) {
	t.Helper()
	client := etcdtest.Dial(t, c)
	for i := range 2 * n {
		_, err := client.Put(t.Context(), fmt.Sprintf("/registry/pods/default/%d", i%n), strings.Repeat("x", 100))
		must(t, err)
	}
	_, err := client.Put(t.Context(), "gone", "")
	must(t, err)
	_, err = client.Delete(t.Context(), "gone")
	must(t, err)
}

// The keys are counted when the stream is opened: live keys of all versions of etcd, with users, and without quorum.
func TestStreamCountsTheLiveKeys(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			putKeys(t, c, 30)
			m := connect(t, plain(c))
			if s := m.Source(); s.Keys != (snapshot.Count{}) || s.DBSizeInUse <= 0 || s.DBSizeInUse > m.DBSize() {
				t.Errorf("before the stream: %+v, want no keys and the bytes in use of %d", s, m.DBSize())
			}
			_, err := download(t.Context(), m)
			must(t, err)
			if got := m.Source().Keys; got != snapshot.Counted(30) {
				t.Errorf("%+v, want 30 keys", got)
			}
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			m = connect(t, as(plain(c), "root", "open sesame"))
			_, err = download(t.Context(), m)
			must(t, err)
			if got := m.Source().Keys; got != snapshot.Counted(30) {
				t.Errorf("with users: %+v, want 30 keys", got)
			}
		})
	}
}

func TestStreamCountsTheKeysWithoutQuorum(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	putKeys(t, c, 20)
	etcdtest.Settle(t, c)
	for _, m := range c.Members[1:] {
		must(t, m.Kill())
	}
	m := connect(t, plain(c))
	_, err := download(t.Context(), m)
	must(t, err)
	if got := m.Source().Keys; got != snapshot.Counted(20) {
		t.Errorf("%+v, want 20 keys", got)
	}
}

// gateway passes on to a real member all but reads of keys.
type gateway struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	pb.UnimplementedKVServer
	client *clientv3.Client
	read   func(context.Context) (*pb.RangeResponse, error)
}

func (g *gateway) Status(ctx context.Context, q *pb.StatusRequest) (*pb.StatusResponse, error) {
	return pb.NewMaintenanceClient(g.client.ActiveConnection()).Status(ctx, q)
}

func (g *gateway) MemberList(ctx context.Context, q *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return pb.NewClusterClient(g.client.ActiveConnection()).MemberList(ctx, q)
}

func (g *gateway) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	return g.read(ctx)
}

func (g *gateway) Snapshot(q *pb.SnapshotRequest, s grpc.ServerStreamingServer[pb.SnapshotResponse]) error {
	from, err := pb.NewMaintenanceClient(g.client.ActiveConnection()).Snapshot(s.Context(), q)
	if err != nil {
		return err
	}
	for {
		r, err := from.Recv()
		if err == io.EOF { //nolint:errorlint // as gRPC returns it
			return nil
		}
		if err == nil {
			err = s.Send(r)
		}
		if err != nil {
			return err
		}
	}
}

// No snapshot fails because its keys can't be counted: without rights on all keys, or when the answer does not come.
func TestSnapshotWithoutACountOfKeysSucceeds(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	putKeys(t, c, 30)
	for what, read := range map[string]func(context.Context) (*pb.RangeResponse, error){
		"no permission": func(context.Context) (*pb.RangeResponse, error) {
			return nil, grpcstatus.Error(codes.PermissionDenied, "etcdserver: permission denied")
		},
		"no answer": func(ctx context.Context) (*pb.RangeResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"an impossible number": func(context.Context) (*pb.RangeResponse, error) { return &pb.RangeResponse{Count: -1}, nil },
	} {
		t.Run(what, func(t *testing.T) {
			g := &gateway{client: etcdtest.Dial(t, c), read: read}
			m := connect(t, serveMember(t, g))
			if n, err := download(t.Context(), m); err != nil || n == 0 {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if got := m.Source().Keys; got != (snapshot.Count{}) {
				t.Errorf("%+v, want keys that are not known", got)
			}
		})
	}
}
