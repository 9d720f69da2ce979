package member_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// swapped is a member of which the second status is that of another etcd; nil: it has stopped by then.
type swapped struct {
	impostor
	asked int
	then  *pb.StatusResponse
}

func (s *swapped) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	s.asked++
	switch {
	case s.asked == 1:
		return s.status, nil
	case s.then == nil:
		return nil, grpcstatus.Error(codes.Unavailable, "etcd has stopped")
	}
	return s.then, nil
}

// A stream counts only if etcd is still the one that was asked before it. One that does not answer any more has sent what there is.
func TestStreamOfAnotherEtcdThanWasAskedIsRefused(t *testing.T) {
	answer := func(cluster, member, index uint64, revision int64) *pb.StatusResponse {
		return &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: cluster, MemberId: member, Revision: revision}, RaftIndex: index}
	}
	for what, x := range map[string]struct {
		then *pb.StatusResponse
		want error
	}{
		"nothing changed":    {answer(1, 2, 30, 40), nil},
		"keys were written":  {answer(1, 2, 31, 41), nil},
		"etcd has stopped":   {nil, nil},
		"another cluster":    {answer(9, 2, 30, 40), member.ErrReplaced},
		"another member":     {answer(1, 9, 30, 40), member.ErrReplaced},
		"a lower raft index": {answer(1, 2, 29, 41), member.ErrReplaced},
		"a lower revision":   {answer(1, 2, 31, 39), member.ErrReplaced},
		"no header":          {&pb.StatusResponse{RaftIndex: 30}, member.ErrReplaced},
	} {
		s := &swapped{impostor: impostor{status: answer(1, 2, 30, 40), members: &pb.MemberListResponse{}, key: &pb.RangeResponse{}}, then: x.then}
		m := connect(t, serveMember(t, s))
		if err := m.Stream(t.Context(), io.Discard, func(int64) {}); !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
	}
}

// Nor does a watch count that is opened at another etcd than the one that was asked: its revisions may be others.
func TestWatchOfAnotherEtcdThanWasAskedIsRefused(t *testing.T) {
	header := func(cluster, member uint64, revision int64) *pb.ResponseHeader {
		return &pb.ResponseHeader{ClusterId: cluster, MemberId: member, Revision: revision}
	}
	for what, x := range map[string]struct {
		then *pb.ResponseHeader
		want error
	}{
		"nothing changed":   {header(1, 2, 40), nil},
		"keys were written": {header(1, 2, 41), nil},
		"another cluster":   {header(9, 2, 41), member.ErrReplaced},
		"another member":    {header(1, 9, 41), member.ErrReplaced},
		"a lower revision":  {header(1, 2, 39), member.ErrReplaced},
		"no header":         {nil, member.ErrReplaced},
	} {
		m := connect(t, serveMember(t, &impostor{
			status: &pb.StatusResponse{Header: header(1, 2, 40)}, members: &pb.MemberListResponse{}, key: &pb.RangeResponse{},
			watch: []*pb.WatchResponse{{Header: x.then, Created: true}},
		}))
		if _, err := m.Watch(t.Context(), 41); !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
	}
}

// Between the question and the stream, etcd's data is restored, with a new cluster ID or the same: no snapshot says that it is of the etcd before.
func TestNoSnapshotOfAnEtcdThatIsRestoredMeanwhile(t *testing.T) {
	for name, token := range map[string]string{"with a new cluster ID": "other", "with the same cluster ID": ""} {
		for _, version := range oldestAndNewest() {
			t.Run(name+", "+version, func(t *testing.T) {
				c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
				client, own := etcdtest.Dial(t, c), c.Members[0]
				put := func(n int) {
					for range n {
						_, err := client.Put(t.Context(), "key", "value")
						must(t, err)
					}
				}
				put(5)
				old := t.TempDir() + "/old.db"
				must(t, os.WriteFile(old, saved(t, c), 0o600))
				put(50)
				m := connect(t, plain(c))
				must(t, own.Stop())
				must(t, os.RemoveAll(own.DataDir))
				args := []string{
					"snapshot", "restore", old, "--data-dir=" + own.DataDir, "--name=" + own.Name,
					"--initial-cluster=" + own.Name + "=" + own.PeerURL, "--initial-advertise-peer-urls=" + own.PeerURL,
				}
				if token != "" {
					args = append(args, "--initial-cluster-token="+token)
				}
				_, err := etcdtest.Etcdutl(t.Context(), version, args...)
				must(t, err)
				must(t, own.Restart(t.Context()))

				dir := snapshot.NewDir(t.TempDir())
				eventually(t, "the connection is there again", func() bool {
					_, err = snapshot.Take(t.Context(), m, dir, snapshot.TakeOptions{Set: "manual", Node: "node-a", Stall: time.Minute})
					return err == nil || errors.Is(err, member.ErrReplaced)
				})
				if !errors.Is(err, member.ErrReplaced) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want ErrReplaced in one line", err)
				}
				if l, err := dir.List(); err != nil || len(l.Snapshots)+len(l.Partials) > 0 {
					t.Errorf("there are %+v, %v", l, err)
				}
				_, err = snapshot.Take(t.Context(), connect(t, plain(c)), dir, snapshot.TakeOptions{Set: "manual", Node: "node-a", Stall: time.Minute})
				must(t, err)
			})
		}
	}
}
