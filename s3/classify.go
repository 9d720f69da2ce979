package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// classify returns the class of an error, nil if it is unknown.
func classify(err error) error {
	for _, kind := range []error{
		ErrConfig, ErrCredentials, ErrHost, ErrTimeout, ErrConnection, ErrChecksum, ErrBusy, ErrLocked, ErrExposed, snapshot.ErrNotFound, snapshot.ErrExists,
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

// codes has the error codes of S3 and of servers that follow it. ErrConfig is only for what stays wrong until a person changes a
// setting; what may be right at the next try is ErrBusy, whatever HTTP status it has.
func codes() []codesOf {
	return []codesOf{
		{ErrNoBucket, []string{"NoSuchBucket"}},
		{snapshot.ErrNotFound, []string{"NoSuchKey", "NoSuchVersion"}},
		{ErrArchived, []string{"InvalidObjectState"}},
		{ErrCredentials, []string{
			"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidTokenId", "TokenRefreshRequired",
			"InvalidClientTokenId", "XMinioInvalidIAMCredentials", "NotSignedUp", "InvalidSecurity", "AccountProblem", "UnrecognizedClientException",
			"InvalidIdentityToken", "AuthFailure", "MissingAuthenticationToken",
		}},
		{ErrClock, []string{"RequestTimeTooSkewed", "RequestExpired"}},
		{ErrLocked, []string{"ObjectLocked"}},
		{ErrQuota, []string{
			"XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "XMinioStorageFull", "StorageFull", "InsufficientCapacity", "AccountQuotaExceeded",
			"StorageQuotaExceeded", "BucketQuotaExceeded", "ServiceQuotaExceededException", "XMinioQuotaExceeded",
		}},
		{ErrChecksum, []string{"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody"}},
		{ErrBusy, []string{
			"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "InternalError", "InternalFailure", "RequestTimeout", "Throttling",
			"ThrottlingException", "ThrottledException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "TooManyRequests",
			"BandwidthLimitExceeded", "ServerBusy", "XMinioServerNotInitialized", "XMinioBackendDown", "XMinioServerTimeout", "PriorRequestNotComplete",
			"OperationAborted", "ConditionalRequestConflict", "Conflict", "TransactionInProgress", "Busy", "IDPCommunicationError",
			// The server has lost an upload or a part of it; the next try begins a new one.
			"InvalidPart", "InvalidPartOrder", "NoSuchUpload",
		}},
		{ErrConfig, []string{
			"InvalidRegion", "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "IllegalLocationConstraintException",
			"InvalidLocationConstraint", "InvalidBucketName", "NotImplemented", "InvalidStorageClass", "InvalidRequest", "InvalidArgument",
			"InvalidBucketState", "ObjectLockConfigurationNotFoundError", "InvalidEncryptionAlgorithmError", "MethodNotAllowed", "InvalidURI",
			"KeyTooLongError", "EntityTooLarge", "KMSNotConfigured", "InvalidRetentionPeriod",
		}},
	}
}

type codesOf struct {
	kind  error
	codes []string
}

func classifyResponse(r minio.ErrorResponse) error {
	switch {
	case strings.Contains(r.Message, "UploadID cannot be empty"): // minio-go's own, after an answer without one
		return ErrBusy
	case strings.Contains(r.Message, "WORM protected"):
		return ErrLocked
	case strings.Contains(r.Message, "cap exceeded"): // Backblaze's "storage cap", an AccessDenied
		return ErrQuota
	}
	for _, c := range codes() {
		if slices.Contains(c.codes, r.Code) {
			return c.kind
		}
	}
	return classifyStatus(r)
}

// classifyStatus is for codes that are not known, and answers without one.
func classifyStatus(r minio.ErrorResponse) error {
	switch s := r.StatusCode; {
	case s == http.StatusForbidden || s == http.StatusUnauthorized || r.Code == minio.AccessDenied || r.Code == "AllAccessDisabled":
		return ErrPermission
	case s == http.StatusInsufficientStorage:
		return ErrQuota
	case s == http.StatusNotImplemented || s == http.StatusHTTPVersionNotSupported:
		return ErrConfig
	case s == http.StatusNetworkAuthenticationRequired:
		return ErrHost
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s == http.StatusTooEarly || s == http.StatusConflict || s >= 500:
		return ErrBusy
	case s >= 300 && s < 400 && s != http.StatusNotModified: // S3's own redirects have a code: this is a login page, or another server
		return ErrHost
	case s == http.StatusBadRequest, s == http.StatusMethodNotAllowed:
		return ErrConfig
	}
	return nil
}

func classifyNetwork(err error) error {
	text := err.Error()
	timeout, ok := errors.AsType[net.Error](err)
	is := func(errnos ...syscall.Errno) bool {
		return slices.ContainsFunc(errnos, func(e syscall.Errno) bool { return errors.Is(err, e) })
	}
	switch {
	case as[*net.DNSError](err), is(syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL):
		return ErrHost
	case as[*tls.CertificateVerificationError](err), as[tls.AlertError](err), as[x509.UnknownAuthorityError](err),
		strings.Contains(text, "remote error: tls:"), strings.Contains(text, "tls: server selected unsupported"):
		return ErrCertificate
	case as[tls.RecordHeaderError](err), strings.Contains(text, "server gave HTTP response to HTTPS client"), strings.Contains(text, tlsAlert):
		return ErrConfig
	case ok && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	case is(syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ENOTCONN),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		as[*xml.SyntaxError](err), as[xml.UnmarshalError](err),
		// minio-go and net/http return these only as text.
		strings.Contains(text, "Connection closed by foreign host"), strings.Contains(text, "server closed idle connection"),
		strings.Contains(text, "transport connection broken"), strings.Contains(text, "malformed HTTP"), strings.Contains(text, "malformed MIME header"),
		strings.Contains(text, "malformed chunked encoding"), strings.Contains(text, "invalid byte in chunk length"):
		return ErrConnection
	}
	return nil
}

// tlsAlert begins what net/http says of a TLS server that answers a request in plain http with an alert.
const tlsAlert = `malformed HTTP response "\x15\x03`

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
