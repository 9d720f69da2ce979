package service

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/member"
)

// reason is the one place that gives an error its class for the metrics. The class is one of those that the kind of work can have; the
// class of an unknown error is Other.
func reason(k metrics.Kind, err error) metrics.Reason {
	switch {
	// Both also are an ErrDamaged, of an archive that is intact.
	case errors.Is(err, drill.ErrContents):
		return metrics.Contents
	case errors.Is(err, drill.ErrStart):
		return metrics.Start
	case errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrFormat):
		return metrics.Damaged
	case errors.Is(err, drill.ErrMemory):
		return metrics.LowMemory
	case errors.Is(err, snapshot.ErrLowSpace), errors.Is(err, drill.ErrSkipped), k == metrics.Drill && noSpace(err):
		return metrics.LowSpace
	case k == metrics.Snapshots:
		return etcdReason(err)
	}
	// A drill that was not skipped no longer needs the bucket, and what was canceled has no class.
	beyond := k == metrics.Drill && !errors.Is(err, daemon.ErrSkipped) || errors.Is(err, context.Canceled)
	if class := metrics.Reason(s3.Class(err)); class != metrics.Other && !beyond {
		return class
	}
	if onDisk(err) {
		return metrics.Disk
	}
	return metrics.Other
}

func etcdReason(err error) metrics.Reason {
	switch {
	case errors.Is(err, member.ErrLearner):
		return metrics.Learner
	case errors.Is(err, snapshot.ErrStalled):
		return metrics.Stalled
	case errors.Is(err, snapshot.ErrInUse):
		return metrics.InUse
	case otherProtocol(err):
		return metrics.Config
	case untrusted(err):
		return metrics.Certificate
	case errors.Is(err, config.ErrUsage) || errors.Is(err, member.ErrConfig) || errors.Is(err, member.ErrDifferentClusters):
		return metrics.Config
	}
	// gRPC passes on only codes and texts, and of several endpoints the first that has a code.
	switch grpcCode(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return metrics.Credentials
	case codes.InvalidArgument, codes.FailedPrecondition: // etcd's codes for a wrong password, and for a user while authentication is off
		return metrics.Credentials
	case codes.Unavailable, codes.DeadlineExceeded:
		return metrics.Unreachable
	}
	switch {
	case onDisk(err):
		return metrics.Disk
	case errors.Is(err, member.ErrConnect) && errors.Is(err, context.DeadlineExceeded):
		return metrics.Unreachable
	case errors.Is(err, context.DeadlineExceeded):
		return metrics.Timeout
	}
	return metrics.Other
}

// grpcCode is the code of etcd's answer or of the connection. etcd's client turns some answers into errors of its own.
func grpcCode(err error) codes.Code {
	if answer := (rpctypes.EtcdError{}); errors.As(err, &answer) {
		return answer.Code()
	}
	return status.Code(err)
}

// otherProtocol is true if only one of the two sides speaks TLS, or the port is not etcd's client port. Of that gRPC has only the text.
func otherProtocol(err error) bool {
	text := err.Error()
	reset := strings.Contains(text, "handshake failed: ") && strings.Contains(text, "connection reset by peer")
	return reset || strings.Contains(text, "does not look like a TLS handshake") || strings.Contains(text, "handshake failed: EOF") ||
		errors.Is(err, member.ErrWantsTLS) || strings.Contains(text, "looked like an HTTP/1.1 header")
}

// untrusted is true if one side did not accept the other's certificate, or a certificate file cannot be used. Errors of a handshake come
// through gRPC as text.
func untrusted(err error) bool {
	if alert := tls.AlertError(0); errors.As(err, &alert) || errors.Is(err, member.ErrCertificate) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "x509: ") || strings.Contains(text, "tls: ")
}

// noSpace is true if a disk has become too full.
func noSpace(err error) bool {
	return errors.Is(err, snapshot.ErrLowSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// onDisk is true if the local file system failed.
func onDisk(err error) bool {
	var path *fs.PathError
	if errors.Is(err, snapshot.ErrUnusableDir) || errors.As(err, &path) {
		return true
	}
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.ESTALE} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
