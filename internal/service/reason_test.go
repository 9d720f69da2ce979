package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/member"
)

// Errors that only etcd and its client make come from real ones.
func TestReasonOfErrorsFromRealServers(t *testing.T) {
	plain := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	learner, err := plain.AddLearner(t.Context())
	must(t, err)
	secure := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	must(t, secure.EnableAuth(t.Context(), "open sesame"))
	stranger, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "stranger"))
	must(t, err)
	expired, err := secure.PKI.IssueExpired()
	must(t, err)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()

	at := secure.Members[0].Endpoint
	good := member.Config{CACert: secure.PKI.CACert, Cert: secure.PKI.Client.Cert, Key: secure.PKI.Client.Key}
	for name, tc := range map[string]struct {
		endpoint string
		change   func(*member.Config)
		want     status.Reason
	}{
		"nobody listens":     {"https://127.0.0.1:1", nil, status.Unreachable},
		"silence":            {"http://" + silent.Addr().String(), func(c *member.Config) { *c = member.Config{} }, status.Unreachable},
		"silence to a login": {"http://" + silent.Addr().String(), func(c *member.Config) { *c = member.Config{User: "root", Password: "x"} }, status.Unreachable},
		"learner":            {"http://" + learner.Endpoint, func(c *member.Config) { *c = member.Config{} }, status.Learner},
		"wrong CA":           {at, func(c *member.Config) { c.CACert = stranger.CACert }, status.Certificate},
		"no client's":        {at, func(c *member.Config) { c.Cert, c.Key = "", "" }, status.Certificate},
		"strange client":     {at, func(c *member.Config) { c.Cert, c.Key = stranger.Client.Cert, stranger.Client.Key }, status.Certificate},
		"expired client":     {at, func(c *member.Config) { c.Cert, c.Key = expired.Cert, expired.Key }, status.Certificate},
		"no CA file":         {at, func(c *member.Config) { c.CACert = "/none" }, status.Certificate},
		"wrong password":     {at, func(c *member.Config) { c.User, c.Password = "root", "open barley" }, status.Credentials},
		"no such user":       {at, func(c *member.Config) { c.User, c.Password = "nobody", "x" }, status.Credentials},
		"TLS to plain":       {"https://" + plain.Members[0].Endpoint, nil, status.Config},
		"plain to TLS":       {"http://" + at, func(c *member.Config) { *c = member.Config{} }, status.Config},
		"peer port":          {plain.Members[0].PeerURL, func(c *member.Config) { *c = member.Config{} }, status.Config},
		"no endpoint":        {"http:///", func(c *member.Config) { *c = member.Config{} }, status.Config},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			if tc.change != nil {
				tc.change(&c)
			}
			c.Endpoints, c.Timeout = []string{tc.endpoint}, time.Minute
			if tc.want == status.Unreachable {
				c.Timeout = time.Second
			}
			err := stream(t.Context(), c)
			if got := reason(status.Snapshot, err); got != tc.want {
				t.Errorf("%s, want %s: %v", got, tc.want, err)
			}
		})
	}
}

// stream asks a member for a snapshot.
func stream(ctx context.Context, c member.Config) error {
	m, err := member.Connect(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(m.Stream(ctx, io.Discard, func(int64) {}), m.Close())
}

func TestReasonOfErrors(t *testing.T) {
	full := fmt.Errorf("sync snapshot: %w", &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC})
	for _, tc := range []struct {
		kind status.Job
		err  error
		want status.Reason
	}{
		{status.Snapshot, fmt.Errorf("stream snapshot: %w for 30s", snapshot.ErrStalled), status.Stalled},
		{status.Snapshot, snapshot.ErrLowSpace, status.LowSpace},
		{status.Snapshot, snapshot.ErrDamaged, status.Damaged},
		{status.Snapshot, full, status.LowSpace},
		{status.Snapshot, fmt.Errorf("sync snapshot: %w", syscall.EDQUOT), status.LowSpace},
		{status.Snapshot, fmt.Errorf("sync snapshot: %w", syscall.EIO), status.Disk},
		{status.Snapshot, snapshot.ErrUnusableDir, status.Disk},
		{status.Snapshot, fmt.Errorf("stream: %w", context.DeadlineExceeded), status.Timeout},
		{status.Snapshot, fmt.Errorf("lock: %w has held it", snapshot.ErrInUse), status.InUse},
		{status.Snapshot, fmt.Errorf("%w: %w is writing it", snapshot.ErrExists, snapshot.ErrInUse), status.InUse},
		{status.Snapshot, fmt.Errorf("write /x: %w", syscall.ESTALE), status.Disk},
		{status.Snapshot, config.Usagef("--password-file: it is empty"), status.Config},
		{status.Snapshot, member.ErrDifferentClusters, status.Config},
		{status.Snapshot, errors.New("strange"), status.Other},
		{status.Mirror, fmt.Errorf("put: %w", s3.ErrQuota), status.Quota},
		{status.Mirror, fmt.Errorf("open: %w: %w", s3.ErrConfig, full), status.Config},
		{status.Mirror, errors.Join(snapshot.ErrDamaged, s3.ErrHost), status.Damaged},
		{status.Mirror, full, status.Disk},
		{status.Mirror, fmt.Errorf("read the end: %w", s3.ErrArchived), status.Config},
		{status.Mirror, errors.New("strange"), status.Other},
		{status.Verify, snapshot.ErrFormat, status.Damaged},
		{status.Drill, snapshot.ErrLowSpace, status.LowSpace},
		{status.Drill, full, status.LowSpace},
		{status.Drill, fmt.Errorf("drill: compare: %w", drill.ErrContents), status.Contents},
		{status.Drill, fmt.Errorf("drill: boot: %w", drill.ErrStart), status.Start},
		{status.Drill, fmt.Errorf("drill: unpack: %w", snapshot.ErrDamaged), status.Damaged},
		{status.Mirror, context.Canceled, status.Other},
	} {
		if got := reason(tc.kind, tc.err); got != tc.want {
			t.Errorf("%s of %s: %s, want %s", tc.kind, tc.err, got, tc.want)
		}
	}
}

// What etcd and gRPC answer, as gRPC passes it on, and as etcd's client turns it into its own error. What may pass is no fault of the
// configuration, and an etcd that answers is not unreachable.
func TestReasonOfEtcdsAnswers(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want status.Reason
	}{
		{grpcstatus.Error(codes.Unavailable, "connection error: desc = \"transport: connection refused\""), status.Unreachable},
		{grpcstatus.Error(codes.Unavailable, "error reading from server: connection reset by peer"), status.Unreachable},
		{grpcstatus.Error(codes.DeadlineExceeded, "context deadline exceeded"), status.Unreachable},
		{rpctypes.ErrGRPCStopped, status.Unreachable},
		{rpctypes.ErrGRPCNoLeader, status.Timeout},
		{rpctypes.ErrGRPCLeaderChanged, status.Timeout},
		{rpctypes.ErrGRPCTimeout, status.Timeout},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, status.Timeout},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, status.Timeout},
		{rpctypes.ErrGRPCUnhealthy, status.Timeout},
		{rpctypes.ErrGRPCRequestTooManyRequests, status.Timeout},
		{rpctypes.ErrGRPCNoSpace, status.Timeout},
		{grpcstatus.Error(codes.ResourceExhausted, "received message larger than max"), status.Timeout},
		{rpctypes.ErrGRPCCorrupt, status.Damaged},
		{rpctypes.ErrGRPCAuthFailed, status.Credentials},
		{rpctypes.ErrGRPCAuthNotEnabled, status.Credentials},
		{rpctypes.ErrGRPCInvalidAuthToken, status.Credentials},
		{rpctypes.ErrGRPCPermissionDenied, status.Credentials},
		{rpctypes.ErrGRPCUserEmpty, status.Credentials},
		{grpcstatus.Error(codes.Unavailable, "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"), status.Certificate},
		{grpcstatus.Error(codes.Unimplemented, "unknown service etcdserverpb.Maintenance"), status.Config},
		{grpcstatus.Error(codes.Internal, "strange"), status.Other},
	} {
		for form, err := range map[string]error{
			"plain": tc.err, "wrapped": fmt.Errorf("connect to etcd: %w", tc.err), "client's": fmt.Errorf("stream: %w", rpctypes.Error(tc.err)),
			"joined": errors.Join(fmt.Errorf("127.0.0.1:1: %w", tc.err)),
		} {
			if got := reason(status.Snapshot, err); got != tc.want {
				t.Errorf("%s, %s: %s, want %s", form, err, got, tc.want)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
