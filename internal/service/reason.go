package service

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"syscall"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/member"
)

// reason is the one place that gives an error its class for the metrics: one that the job can have, Other if the error is unknown.
func reason(j status.Job, err error) status.Reason {
	switch {
	// Both also are an ErrDamaged, of an archive that is intact.
	case errors.Is(err, drill.ErrContents):
		return status.Contents
	case errors.Is(err, drill.ErrStart):
		return status.Start
	case errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrFormat):
		return status.Damaged
	case errors.Is(err, drill.ErrMemory):
		return status.LowMemory
	case errors.Is(err, snapshot.ErrLowSpace), errors.Is(err, drill.ErrSkipped), (j == status.Snapshot || j == status.Drill) && noSpace(err):
		return status.LowSpace
	case j == status.Snapshot:
		return etcdReason(err)
	case j == status.Mirror && errors.Is(err, snapshot.ErrExists): // two clusters share a folder
		return status.Config
	}
	// A drill that was not skipped no longer needs the bucket, and what was canceled has no class.
	beyond := j == status.Drill && !errors.Is(err, daemon.ErrSkipped) || errors.Is(err, context.Canceled)
	if class := status.Reason(s3.Class(err)); class != status.Other && !beyond {
		return class
	}
	if onDisk(err) {
		return status.Disk
	}
	return status.Other
}

// journalReason is reason for what ends a recording.
func journalReason(err error) status.Reason {
	switch {
	case noSpace(err):
		return status.LowSpace
	case errors.Is(err, snapshot.ErrInUse):
		return status.InUse
	case onDisk(err):
		return status.Disk
	case errors.Is(err, member.ErrNoLeader):
		return status.Timeout
	case errors.Is(err, member.ErrCompacted):
		return status.Compacted
	case errors.Is(err, member.ErrReadRights):
		return status.Credentials
	}
	return etcdReason(err)
}

func etcdReason(err error) status.Reason {
	switch {
	case errors.Is(err, member.ErrLearner):
		return status.Learner
	case errors.Is(err, snapshot.ErrStalled):
		return status.Stalled
	case errors.Is(err, snapshot.ErrInUse):
		return status.InUse
	case otherProtocol(err):
		return status.Config
	case untrusted(err):
		return status.Certificate
	case errors.Is(err, config.ErrUsage) || errors.Is(err, member.ErrConfig) || errors.Is(err, member.ErrDifferentClusters):
		return status.Config
	}
	answer, answered := etcdAnswer(err)
	switch {
	case answered && answer.Code() == codes.DataLoss: // the cluster is corrupt
		return status.Damaged
	// No leader, an election, too many requests: etcd answers, so it is reachable, and will be able to later.
	case answered && !errors.Is(answer, rpctypes.ErrStopped) && slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted}, answer.Code()):
		return status.Timeout
	}
	// gRPC passes on only codes and texts, and of several endpoints the first that has a code.
	switch grpcCode(err) {
	// The last two are etcd's codes for a wrong password, and for a user while authentication is off.
	case codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.FailedPrecondition:
		return status.Credentials
	case codes.Unavailable, codes.DeadlineExceeded:
		return status.Unreachable
	case codes.ResourceExhausted: // a limit on the way to etcd
		return status.Timeout
	case codes.Unimplemented: // it speaks gRPC, and is no etcd
		return status.Config
	}
	switch {
	case onDisk(err):
		return status.Disk
	case errors.Is(err, member.ErrConnect) && errors.Is(err, context.DeadlineExceeded):
		return status.Unreachable
	case errors.Is(err, context.DeadlineExceeded):
		return status.Timeout
	}
	return status.Other
}

// grpcError is an error with a gRPC status.
type grpcError interface {
	error
	GRPCStatus() *grpcstatus.Status
}

// etcdAnswer finds an error that etcd itself answered, as opposed to one of the connection. etcd's client has turned some answers into
// errors of its own.
func etcdAnswer(err error) (rpctypes.EtcdError, bool) {
	if answer, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return answer, true
	}
	if s, ok := errors.AsType[grpcError](err); ok {
		return errors.AsType[rpctypes.EtcdError](rpctypes.Error(s.GRPCStatus().Err()))
	}
	return rpctypes.EtcdError{}, false
}

// grpcCode is the code of etcd's answer or of the connection.
func grpcCode(err error) codes.Code {
	if answer, ok := etcdAnswer(err); ok {
		return answer.Code()
	}
	return grpcstatus.Code(err)
}

// otherProtocol is true if only one of the two sides speaks TLS, or the port is not etcd's client port. Of that gRPC has only the text.
func otherProtocol(err error) bool {
	return errors.Is(err, member.ErrWantsTLS) ||
		regexp.MustCompile(`(?s)does not look like a TLS handshake|handshake failed: (EOF|.*connection reset by peer)|looked like an HTTP/1\.1 header`).MatchString(err.Error())
}

// untrusted is true if one side refused the other's certificate, or a certificate file cannot be used. gRPC passes on only texts.
func untrusted(err error) bool {
	_, alert := errors.AsType[tls.AlertError](err)
	return alert || errors.Is(err, member.ErrCertificate) || regexp.MustCompile(`x509: |tls: `).MatchString(err.Error())
}

// noSpace is true if a disk or a quota is full.
func noSpace(err error) bool {
	return errors.Is(err, snapshot.ErrLowSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// onDisk is true if the local file system failed.
func onDisk(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	return path || errors.Is(err, snapshot.ErrUnusableDir) || slices.ContainsFunc(
		[]error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.ESTALE}, func(errno error) bool { return errors.Is(err, errno) })
}
