package member_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// impostor answers as no etcd does.
type impostor struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	pb.UnimplementedKVServer
	pb.UnimplementedWatchServer
	status  *pb.StatusResponse
	members *pb.MemberListResponse
	key     *pb.RangeResponse
	stream  []*pb.SnapshotResponse
	watch   []*pb.WatchResponse
}

func (i *impostor) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return i.status, nil
}

func (i *impostor) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return i.members, nil
}

func (i *impostor) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return i.key, nil
}

func (i *impostor) Snapshot(_ *pb.SnapshotRequest, s grpc.ServerStreamingServer[pb.SnapshotResponse]) error {
	for _, message := range i.stream {
		if err := s.Send(message); err != nil {
			return err
		}
	}
	return nil
}

func (i *impostor) Watch(s grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	for _, message := range i.watch {
		if err := s.Send(message); err != nil {
			return err
		}
	}
	return nil
}

// start returns a configuration with which the impostor is asked.
func (i *impostor) start(t *testing.T) member.Config { return serveMember(t, i) }

// serveMember returns a configuration with which a server is asked that answers as a member does.
func serveMember(t *testing.T, i interface {
	pb.MaintenanceServer
	pb.ClusterServer
	pb.KVServer
},
) member.Config {
	t.Helper()
	server := grpc.NewServer()
	pb.RegisterMaintenanceServer(server, i)
	pb.RegisterClusterServer(server, i)
	pb.RegisterKVServer(server, i)
	if w, ok := i.(pb.WatchServer); ok {
		pb.RegisterWatchServer(server, w)
	}
	l := listen(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return member.Config{Endpoints: []string{l.Addr().String()}, Timeout: answerLimit}
}

func TestStatusWithoutIDsIsNoAnswerOfEtcd(t *testing.T) {
	for what, status := range map[string]*pb.StatusResponse{
		"empty":        {},
		"no header":    {Version: "3.6.0", Leader: 1, DbSize: 1 << 20},
		"empty header": {Header: &pb.ResponseHeader{}, Version: "3.6.0"},
		"no member":    {Header: &pb.ResponseHeader{ClusterId: 1}},
		"no cluster":   {Header: &pb.ResponseHeader{MemberId: 1}},
	} {
		m, err := member.Connect(t.Context(), (&impostor{status: status}).start(t))
		if m != nil || !errors.Is(err, member.ErrAnswer) || !errors.Is(err, member.ErrConnect) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want ErrAnswer in one line", what, err)
		}
	}
}

func TestAnswersWithoutPartsAreNoPanic(t *testing.T) {
	i := &impostor{
		status:  &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2, Revision: 7}, Errors: []string{"alarm:", "alarm: alarm:CORRUPT"}},
		members: &pb.MemberListResponse{Members: []*pb.Member{{}, {ID: 3}}},
		key:     &pb.RangeResponse{},
		stream:  []*pb.SnapshotResponse{{RemainingBytes: math.MaxUint64}, {}, {Blob: []byte("data")}},
	}
	m := connect(t, i.start(t))
	if len(m.Source().Members) != 2 {
		t.Errorf("members %+v", m.Source().Members)
	}
	must(t, m.CatchUp(t.Context()))
	if m.Source().Revision != 7 {
		t.Errorf("revision %d after a read that had none, want that of the status", m.Source().Revision)
	}
	var announced []int64
	must(t, m.Stream(t.Context(), io.Discard, func(n int64) { announced = append(announced, n) }))
	if len(announced) != 1 || announced[0] != 0 {
		t.Errorf("announced %d for an absurd size, want 0 once: unknown", announced)
	}
}

func TestSurveyOfAnEmptyStatusSeesAnUnknownCluster(t *testing.T) {
	cfg := (&impostor{status: &pb.StatusResponse{}}).start(t)
	seen := member.Survey(t.Context(), cfg, []snapshot.Member{{ID: 1, ClientURLs: []string{"http://" + cfg.Endpoints[0]}}}, answerLimit)
	if len(seen) != 1 || !seen[0].Answered || seen[0].Leader || seen[0].ClusterID != 0 {
		t.Errorf("%+v", seen)
	}
}

// A list that fills the memory is an error.
func TestMemberListOfAnySizeIsBounded(t *testing.T) {
	i := &impostor{
		status:  &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2}},
		members: &pb.MemberListResponse{Members: []*pb.Member{{ID: 2, Name: strings.Repeat("n", 8<<20)}}},
	}
	_, err := member.Connect(t.Context(), i.start(t))
	if err == nil || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("%v, want a refusal of 8 MiB", err)
	}
}
