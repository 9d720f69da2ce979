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

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/member"
)

// Errors that only etcd and its client make are asked of real ones.
func TestReasonsOfEtcd(t *testing.T) {
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
		want     metrics.Reason
	}{
		"nobody listens":     {"https://127.0.0.1:1", nil, metrics.Unreachable},
		"silence":            {"http://" + silent.Addr().String(), func(c *member.Config) { *c = member.Config{} }, metrics.Unreachable},
		"silence to a login": {"http://" + silent.Addr().String(), func(c *member.Config) { *c = member.Config{User: "root", Password: "x"} }, metrics.Unreachable},
		"learner":            {"http://" + learner.Endpoint, func(c *member.Config) { *c = member.Config{} }, metrics.Learner},
		"wrong CA":           {at, func(c *member.Config) { c.CACert = stranger.CACert }, metrics.Certificate},
		"no client's":        {at, func(c *member.Config) { c.Cert, c.Key = "", "" }, metrics.Certificate},
		"strange client":     {at, func(c *member.Config) { c.Cert, c.Key = stranger.Client.Cert, stranger.Client.Key }, metrics.Certificate},
		"expired client":     {at, func(c *member.Config) { c.Cert, c.Key = expired.Cert, expired.Key }, metrics.Certificate},
		"no CA file":         {at, func(c *member.Config) { c.CACert = "/none" }, metrics.Certificate},
		"wrong password":     {at, func(c *member.Config) { c.User, c.Password = "root", "open barley" }, metrics.Credentials},
		"no such user":       {at, func(c *member.Config) { c.User, c.Password = "nobody", "x" }, metrics.Credentials},
		"TLS to plain":       {"https://" + plain.Members[0].Endpoint, nil, metrics.Config},
		"plain to TLS":       {"http://" + at, func(c *member.Config) { *c = member.Config{} }, metrics.Config},
		"peer port":          {plain.Members[0].PeerURL, func(c *member.Config) { *c = member.Config{} }, metrics.Config},
		"no endpoint":        {"http:///", func(c *member.Config) { *c = member.Config{} }, metrics.Config},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			if tc.change != nil {
				tc.change(&c)
			}
			c.Endpoints, c.Timeout = []string{tc.endpoint}, time.Second
			err := stream(t.Context(), c)
			if got := reason(metrics.Snapshots, err); got != tc.want {
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

func TestReasons(t *testing.T) {
	full := fmt.Errorf("sync snapshot: %w", &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC})
	for _, tc := range []struct {
		kind metrics.Kind
		err  error
		want metrics.Reason
	}{
		{metrics.Snapshots, fmt.Errorf("stream snapshot: %w for 30s", snapshot.ErrStalled), metrics.Stalled},
		{metrics.Snapshots, snapshot.ErrLowSpace, metrics.LowSpace},
		{metrics.Snapshots, snapshot.ErrDamaged, metrics.Damaged},
		{metrics.Snapshots, full, metrics.Disk},
		{metrics.Snapshots, snapshot.ErrUnusableDir, metrics.Disk},
		{metrics.Snapshots, fmt.Errorf("stream: %w", context.DeadlineExceeded), metrics.Timeout},
		{metrics.Snapshots, fmt.Errorf("lock: %w has held it", snapshot.ErrInUse), metrics.InUse},
		{metrics.Snapshots, fmt.Errorf("%w: %w is writing it", snapshot.ErrExists, snapshot.ErrInUse), metrics.InUse},
		{metrics.Snapshots, fmt.Errorf("write /x: %w", syscall.ESTALE), metrics.Disk},
		{metrics.Snapshots, config.Usagef("--password-file: it is empty"), metrics.Config},
		{metrics.Snapshots, member.ErrDifferentClusters, metrics.Config},
		{metrics.Snapshots, errors.New("strange"), metrics.Other},
		{metrics.Mirror, fmt.Errorf("put: %w", s3.ErrQuota), metrics.Quota},
		{metrics.Mirror, fmt.Errorf("open: %w: %w", s3.ErrConfig, full), metrics.Config},
		{metrics.Mirror, errors.Join(snapshot.ErrDamaged, s3.ErrHost), metrics.Damaged},
		{metrics.Mirror, full, metrics.Disk},
		{metrics.Mirror, errors.New("strange"), metrics.Other},
		{metrics.Verify, snapshot.ErrFormat, metrics.Damaged},
		{metrics.Drill, snapshot.ErrLowSpace, metrics.LowSpace},
		{metrics.Drill, full, metrics.LowSpace},
		{metrics.Drill, fmt.Errorf("drill: compare: %w", drill.ErrContents), metrics.Contents},
		{metrics.Drill, fmt.Errorf("drill: boot: %w", drill.ErrStart), metrics.Start},
		{metrics.Drill, fmt.Errorf("drill: unpack: %w", snapshot.ErrDamaged), metrics.Damaged},
		{metrics.Mirror, context.Canceled, metrics.Other},
	} {
		if got := reason(tc.kind, tc.err); got != tc.want {
			t.Errorf("%s of %s: %s, want %s", tc.kind, tc.err, got, tc.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
