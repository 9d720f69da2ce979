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
	var (
		dns    *net.DNSError
		verify *tls.CertificateVerificationError
		alert  tls.AlertError
		record tls.RecordHeaderError
		x1     x509.UnknownAuthorityError
		netErr net.Error
	)
	text := err.Error()
	switch {
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ErrHost
	case errors.As(err, &verify), errors.As(err, &alert), errors.As(err, &x1), strings.Contains(text, "remote error: tls:"):
		return ErrCertificate
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return ErrConfig
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, context.DeadlineExceeded):
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
