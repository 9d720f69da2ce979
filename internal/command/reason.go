package command

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
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/member"
)

// reason is the one place that gives an error its class for the metrics. What it gives is one of the words that the kind
// of work knows; what it does not know is Other.
func reason(k metrics.Kind, err error) metrics.Reason {
	switch {
	// Both are an ErrDamaged too, of an archive that is whole.
	case errors.Is(err, drill.ErrContents):
		return metrics.Contents
	case errors.Is(err, drill.ErrStart):
		return metrics.Start
	case errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrFormat):
		return metrics.Damaged
	case errors.Is(err, drill.ErrMemory):
		return metrics.LowMemory
	case errors.Is(err, snapshot.ErrLowSpace), errors.Is(err, drill.ErrSkipped), k == metrics.Drill && noRoom(err):
		return metrics.LowSpace
	case k == metrics.Snapshots:
		return etcdReason(err)
	}
	// A drill that was not left out has nothing to do with the bucket any more, and what was canceled is no class.
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
	case errors.Is(err, errUsage) || errors.Is(err, member.ErrConfig) || errors.Is(err, member.ErrDifferentClusters):
		return metrics.Config
	}
	// gRPC hands on codes and texts only, and of several endpoints the first that has a code.
	switch grpcCode(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return metrics.Credentials
	case codes.InvalidArgument, codes.FailedPrecondition: // etcd's codes of a wrong password, and of a user where there are none
		return metrics.Credentials
	case codes.Unavailable, codes.DeadlineExceeded:
		return metrics.Unreachable
	}
	switch {
	case onDisk(err):
		return metrics.Disk
	case asked(err) && errors.Is(err, context.DeadlineExceeded):
		return metrics.Unreachable
	case errors.Is(err, context.DeadlineExceeded):
		return metrics.Timeout
	}
	return metrics.Other
}

// grpcCode is that of an answer of etcd's or of the connection. etcd's client makes errors of its own of some answers.
func grpcCode(err error) codes.Code {
	if answer := (rpctypes.EtcdError{}); errors.As(err, &answer) {
		return answer.Code()
	}
	return status.Code(err)
}

// otherProtocol tells of two sides of which only one speaks TLS, and of a port that is not etcd's for clients.
func otherProtocol(err error) bool {
	text := err.Error()
	reset := strings.Contains(text, "handshake failed: ") && strings.Contains(text, "connection reset by peer")
	return reset || strings.Contains(text, "does not look like a TLS handshake") || strings.Contains(text, "handshake failed: EOF") ||
		errors.Is(err, member.ErrWantsTLS) || strings.Contains(text, "looked like an HTTP/1.1 header")
}

// untrusted tells of a connection that one side did not want for its certificate. Errors of a handshake come through gRPC as
// text.
func untrusted(err error) bool {
	if alert := tls.AlertError(0); errors.As(err, &alert) {
		return true
	}
	text := err.Error()
	for _, piece := range []string{"x509: ", "tls: ", "holds no PEM certificate", "read --cacert", "read --cert"} {
		if strings.Contains(text, piece) {
			return true
		}
	}
	return false
}

// asked tells an answer that etcd owes from others that did not come in time.
func asked(err error) bool { return strings.Contains(err.Error(), "ask etcd at ") }

// noRoom tells of a disk that has become too full.
func noRoom(err error) bool {
	return errors.Is(err, snapshot.ErrLowSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// onDisk tells of trouble with the local file system.
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
