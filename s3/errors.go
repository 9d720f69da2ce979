package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// The classes of errors, by what fixes them.
var (
	// ErrConfig marks settings that cannot work, or that the server refuses as settings.
	ErrConfig = errors.New("s3 settings")
	// ErrCredentials marks keys that are missing, wrong or expired.
	ErrCredentials = errors.New("s3 credentials")
	// ErrNoBucket marks a bucket that does not exist.
	ErrNoBucket = errors.New("no such bucket")
	// ErrPermission marks an action that the keys' policy does not allow; see PermissionError.
	ErrPermission = errors.New("no permission")
	// ErrCertificate marks a TLS connection that one side does not trust.
	ErrCertificate = errors.New("s3 certificate")
	// ErrHost marks a server that cannot be reached: unknown name, nothing listens, no route.
	ErrHost = errors.New("s3 server unreachable")
	// ErrConnection marks a connection that broke.
	ErrConnection = errors.New("s3 connection lost")
	// ErrTimeout marks a server that stopped answering.
	ErrTimeout = errors.New("s3 timeout")
	// ErrClock marks clocks that are too far apart for a valid signature.
	ErrClock = errors.New("clocks differ")
	// ErrLocked marks a snapshot under Object Lock.
	ErrLocked = errors.New("held by object lock")
	// ErrQuota marks a bucket or server that is full.
	ErrQuota = errors.New("s3 is full")
	// ErrChecksum marks bytes that did not arrive as they were sent.
	ErrChecksum = errors.New("checksum")
	// ErrBusy marks a server that asks for a later retry.
	ErrBusy = errors.New("s3 server busy")
)

// PermissionError is an ErrPermission that names the action, for example s3:PutObject.
type PermissionError struct{ Action string }

// Error includes the action.
func (e *PermissionError) Error() string { return ErrPermission.Error() + " for " + e.Action }

// Unwrap returns ErrPermission.
func (e *PermissionError) Unwrap() error { return ErrPermission }

// Class returns the class of err as a fixed word for a metric's label; "" for nil.
func Class(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range []struct {
		kind error
		name string
	}{
		{context.Canceled, "canceled"},
		{ErrConfig, "config"},
		{ErrCredentials, "credentials"},
		{ErrNoBucket, "no_bucket"},
		{ErrPermission, "permission"},
		{ErrCertificate, "certificate"},
		{ErrHost, "host"},
		{ErrConnection, "connection"},
		{ErrTimeout, "timeout"},
		{ErrClock, "clock"},
		{ErrLocked, "locked"},
		{ErrQuota, "quota"},
		{ErrChecksum, "checksum"},
		{ErrBusy, "busy"},
		{snapshot.ErrNotFound, "not_found"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, c.kind) {
			return c.name
		}
	}
	return "other"
}

// transient reports whether an immediate retry may help. After a timeout it may not: the timeout has already taken a whole Stall.
func transient(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, ErrConnection) || errors.Is(err, ErrChecksum)
}

// classify returns the class of an error, nil if it is unknown.
func classify(err error) error {
	for _, kind := range []error{
		ErrConfig, ErrCredentials, ErrTimeout, ErrConnection, ErrChecksum, ErrBusy, ErrLocked, snapshot.ErrNotFound,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	if res, ok := response(err); ok {
		return classifyResponse(res)
	}
	return classifyNetwork(err)
}

func classifyResponse(r minio.ErrorResponse) error {
	switch r.Code {
	case "NoSuchBucket":
		return ErrNoBucket
	case "NoSuchKey", "NoSuchVersion":
		return snapshot.ErrNotFound
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
		"InvalidTokenId", "TokenRefreshRequired", "InvalidClientTokenId", "XMinioInvalidIAMCredentials", "NotSignedUp":
		return ErrCredentials
	case "RequestTimeTooSkewed":
		return ErrClock
	case "ObjectLocked":
		return ErrLocked
	case "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "XMinioStorageFull", "StorageFull", "InsufficientCapacity", "AccountQuotaExceeded":
		return ErrQuota
	case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody":
		return ErrChecksum
	case "InvalidRegion", "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException",
		"InvalidBucketName", "NotImplemented", "InvalidStorageClass", "InvalidRequest", "InvalidArgument":
		return ErrConfig
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling",
		"ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "XMinioServerNotInitialized", "OperationAborted":
		return ErrBusy
	}
	switch {
	case strings.Contains(r.Message, "WORM protected"):
		return ErrLocked
	case r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized || r.Code == "AccessDenied":
		return ErrPermission
	case r.StatusCode == http.StatusInsufficientStorage:
		return ErrQuota
	case r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500:
		return ErrBusy
	case r.StatusCode == http.StatusMovedPermanently || r.StatusCode == http.StatusTemporaryRedirect || r.StatusCode == http.StatusBadRequest:
		return ErrConfig
	}
	return nil
}

func classifyNetwork(err error) error {
	text := err.Error()
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case as[*net.DNSError](err), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ErrHost
	case as[*tls.CertificateVerificationError](err), as[tls.AlertError](err), as[x509.UnknownAuthorityError](err), strings.Contains(text, "remote error: tls:"):
		return ErrCertificate
	case as[tls.RecordHeaderError](err), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return ErrConfig
	case ok && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		// minio-go and net/http return these only as text.
		strings.Contains(text, "Connection closed by foreign host"), strings.Contains(text, "server closed idle connection"),
		strings.Contains(text, "transport connection broken"), strings.Contains(text, "malformed HTTP"):
		return ErrConnection
	}
	return nil
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
