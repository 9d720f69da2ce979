package s3_test

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

// What may be right at the next try never has the class of a setting.
func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	for class, codes := range map[string]string{
		"busy": "InvalidPart:400 InvalidPartOrder:400 NoSuchUpload:404 SlowDown:503 SlowDownWrite:503 RequestTimeout:400 InternalError:500 " +
			"ServiceUnavailable:503 OperationAborted:409 ConditionalRequestConflict:409 TooManyRequests:429 XMinioServerNotInitialized:503 " +
			"Unknown:500 Unknown:502 Unknown:503 Unknown:504 Unknown:429 Unknown:408 Unknown:409 Unknown:425",
		"config": "InvalidRequest:400 InvalidArgument:400 NotImplemented:501 InvalidStorageClass:400 PermanentRedirect:301 TemporaryRedirect:307 " +
			"AuthorizationHeaderMalformed:400 InvalidBucketName:400 MethodNotAllowed:405 InvalidObjectState:403 Unknown:400 Unknown:501",
		"credentials": "InvalidAccessKeyId:403 SignatureDoesNotMatch:403 ExpiredToken:400 InvalidToken:400 InvalidSecurity:403 NotSignedUp:403",
		"permission":  "AccessDenied:403 AllAccessDisabled:403 Unknown:403 Unknown:401",
		"quota":       "QuotaExceeded:403 XMinioStorageFull:507 XMinioAdminBucketQuotaExceeded:400 Unknown:507",
		"checksum":    "BadDigest:400 XAmzContentChecksumMismatch:400 IncompleteBody:400 XAmzContentSHA256Mismatch:400",
		"no_bucket":   "NoSuchBucket:404",
		"not_found":   "NoSuchKey:404 NoSuchVersion:404",
		"clock":       "RequestTimeTooSkewed:403",
		"locked":      "ObjectLocked:400",
		"host":        "Unknown:511 Unknown:302 Unknown:307",
		"other":       "PreconditionFailed:412 Unknown:404",
	} {
		for pair := range strings.FieldsSeq(codes) {
			code, number, _ := strings.Cut(pair, ":")
			res := minio.ErrorResponse{Code: code}
			_, err := fmt.Sscan(number, &res.StatusCode)
			must(t, err)
			if got := s3.ClassOf(fmt.Errorf("put: %w", res)); got != class {
				t.Errorf("%s is %s, not %s", pair, got, class)
			}
		}
	}
	for message, class := range map[string]string{
		"UploadID cannot be empty.": "busy", "Object is WORM protected": "locked", "Cannot upload files, storage cap exceeded.": "quota",
	} {
		if got := s3.ClassOf(minio.ErrorResponse{Code: "InvalidArgument", StatusCode: http.StatusBadRequest, Message: message}); got != class {
			t.Errorf("%q is %s, not %s", message, got, class)
		}
	}
}

func TestEveryTransportErrorHasItsClass(t *testing.T) {
	t.Parallel()
	read := func(err error) error { return &net.OpError{Op: "read", Err: err} }
	for _, c := range []struct {
		err   error
		class string
	}{
		{read(os.NewSyscallError("read", syscall.ECONNRESET)), "connection"},
		{read(os.NewSyscallError("write", syscall.EPIPE)), "connection"},
		{io.EOF, "connection"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "connection"},
		{net.ErrClosed, "connection"},
		{&xml.SyntaxError{Msg: "unexpected EOF"}, "connection"},
		{errors.New("Connection closed by foreign host https://x. Retry again."), "connection"},
		{errors.New("http: server closed idle connection"), "connection"},
		{errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP status code "x"`), "connection"},
		{errors.New(`malformed HTTP response "garbage"`), "connection"},
		{errors.New(`malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16"`), "config"},
		{errors.New("http: server gave HTTP response to HTTPS client"), "config"},
		{tls.RecordHeaderError{}, "config"},
		{tls.AlertError(42), "certificate"},
		{errors.New("remote error: tls: bad certificate"), "certificate"},
		{read(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "host"},
		{read(os.NewSyscallError("connect", syscall.ENETUNREACH)), "host"},
		{&net.DNSError{Err: "no such host", Name: "x"}, "host"},
		{read(os.NewSyscallError("connect", syscall.ETIMEDOUT)), "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{errors.New("strange"), "other"},
	} {
		if got := s3.ClassOf(&url.Error{Op: "Put", URL: "https://x", Err: c.err}); got != c.class {
			t.Errorf("%v is %s, not %s", c.err, got, c.class)
		}
	}
}

// A reset in mid-transfer says nothing about TLS; a TLS alert does.
func TestTLSIsSuggestedOnlyOnEvidence(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	faults.Set(breakOff)
	_, err := open(t, c).List(t.Context())
	wantError(t, err, s3.ErrConnection)
	if strings.Contains(err.Error(), "TLS") {
		t.Error(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096)) // the request, before the answer
			_, _ = conn.Write([]byte("\x15\x03\x01\x00\x02\x02\x16"))
			_ = conn.Close()
		}
	}()
	c.Endpoint, c.CA = "http://"+l.Addr().String(), ""
	_, err = open(t, c).List(t.Context())
	wantError(t, err, s3.ErrConfig, "write https://")
}

// A hint calls no flag wrong that was not given.
func TestHintsNameOnlyGivenFlags(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	says := func(status int, code, message string) {
		faults.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body) // a client that breaks off needs no answer
			w.Header().Set("X-Amz-Request-Id", "1")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message) // likewise
		})
	}
	for _, h := range []struct {
		code, message string
		given         func(*s3.Config)
		hint          string
	}{
		{"InvalidStorageClass", "The storage class you specified is not valid", func(c *s3.Config) { c.StorageClass = "X" }, "--s3-storage-class"},
		{"InvalidArgument", "Server side encryption specified but KMS is not configured", func(c *s3.Config) { c.SSE = "kms" }, "--s3-sse"},
		{"InvalidRequest", "Bucket is missing ObjectLockConfiguration", func(c *s3.Config) { c.LockMode, c.LockFor = "governance", time.Hour }, "--s3-object-lock"},
		{"AuthorizationHeaderMalformed", "the region is wrong", func(c *s3.Config) { c.Region = "mars" }, "--s3-region is not"},
	} {
		says(http.StatusBadRequest, h.code, h.message)
		c.Region = ""
		if err := tryPut(t, open(t, c), rolling(t, 0), noise(10)); strings.Contains(err.Error(), h.hint) {
			t.Errorf("%s was not given: %v", h.hint, err)
		}
		given := c
		h.given(&given)
		wantError(t, tryPut(t, open(t, given), rolling(t, 0), noise(10)), s3.ErrConfig, h.hint)
	}
}

// An endpoint that was set by a variable is called by its name.
func TestHintsNameTheVariableOfTheEndpoint(t *testing.T) {
	t.Parallel()
	_, _, c := shared(t)
	c.Endpoint, c.EndpointFrom = "http://127.0.0.1:1", "$AWS_ENDPOINT_URL"
	_, err := open(t, c).List(t.Context())
	wantError(t, err, s3.ErrHost, "is $AWS_ENDPOINT_URL right?")
	if strings.Contains(err.Error(), "--s3-endpoint") {
		t.Error(err)
	}
}

// Of an archived object the hint says what to do, whatever is done with it.
func TestArchivedObjectIsReportedAsSuch(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	c.Folder = "my backups"
	b := open(t, c)
	n := rolling(t, 0)
	put(t, b, n, noise(1000))
	faults.Set(s3test.When(s3test.Download, s3test.Refuse(http.StatusForbidden, "InvalidObjectState")))
	_, err := get(t, b, n)
	_, _, tailErr := b.Tail(t.Context(), n)
	for _, err := range []error{err, tailErr} {
		wantError(t, err, s3.ErrArchived, "restore the object first", "restore-object --bucket "+c.Bucket+" --key 'my backups/"+n.String()+"' ")
		if errors.Is(err, s3.ErrPermission) || strings.Contains(err.Error(), "--s3-storage-class") {
			t.Error(err)
		}
	}
	wantList(t, b, n)

	// Every snapshot would be stored there: the probe reads what it has stored.
	faults = s3test.RunHTTPFaults(t, s3test.RunFake(t).Target) // MinIO does not know the class
	_, archives := bed(t, faults.Target)
	archives.StorageClass = "GLACIER"
	faults.Set(s3test.When(s3test.Download, s3test.Refuse(http.StatusForbidden, "InvalidObjectState")))
	line := probed(t, open(t, archives), "s3:GetObject")
	wantError(t, line.Err, s3.ErrArchived, "--s3-storage-class GLACIER archives")
}
