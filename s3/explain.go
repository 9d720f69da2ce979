package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/printable"
)

// maxText limits how much text of a server or proxy is quoted in an error: some send whole pages.
const maxText = 300

// callError prints one line and unwraps to its class and to minio-go's error.
type callError struct {
	text string
	kind error // nil: unknown
	err  error
}

func (e *callError) Error() string   { return e.text }
func (e *callError) Unwrap() []error { return []error{e.kind, e.err} }

// explain turns err into one readable line: what, where, why, and what to check.
func (b *Bucket) explain(ctx context.Context, o op, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", o.doing, context.Cause(ctx))
	}
	if as[*callError](err) {
		return err
	}
	kind := classify(err)
	text := plainText(err)
	skew, _ := b.transport.clock()
	switch {
	case !errors.Is(kind, ErrPermission):
	case skew.Abs() > maxSkew:
		kind = ErrClock // the answer to a HEAD request has no body that could say this
	default:
		kind = &PermissionError{Action: o.action}
	}
	if h := b.hint(kind, o, text, err); h != "" {
		h = strings.ReplaceAll(h, endpointFlag, cmp.Or(b.cfg.EndpointFrom, endpointFlag))
		text += " (" + h + ")"
	}
	return &callError{text: fmt.Sprintf("%s: %s: %s", o.doing, b, text), kind: kind, err: err}
}

// plainText returns err's own message in one line, without the URL that net/http adds in front.
func plainText(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer in time"
	}
	if res, ok := response(err); ok && res.Code != "" && !strings.Contains(text, res.Code) {
		text = res.Code + ": " + text
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return strings.TrimSuffix(text, ".")
}

func response(err error) (minio.ErrorResponse, bool) {
	return errors.AsType[minio.ErrorResponse](err)
}

// hint says what to check. It names a flag as wrong only if it was given.
func (b *Bucket) hint(kind error, o op, text string, err error) string {
	if b.cfg.CA == "" && strings.Contains(text, "certificate signed by unknown authority") {
		return "the system does not trust the CA of the server's certificate: set --s3-ca to it"
	}
	for _, h := range []struct {
		when        bool
		piece, hint string
	}{
		{true, "certificate signed by unknown authority", "--s3-ca is not the CA of the server's certificate"},
		{true, "certificate is valid for", "the server's certificate is not valid for this host: use a name that is in it as --s3-endpoint"},
		{true, "certificate is not valid for any names", "the server's certificate contains no host name: it needs a subject alternative name"},
		{true, "doesn't contain any IP SANs", "the server's certificate contains no IP address: use a name that is in it as --s3-endpoint"},
		{true, "certificate has expired or is not yet valid", "renew the server's certificate, or correct the clock"},
		{true, "server gave HTTP response to HTTPS client", "the server speaks plain http: write http:// in --s3-endpoint if you want that"},
		{true, "HTTP request to an HTTPS server", "the server requires TLS: write https:// in --s3-endpoint"},
		{true, plainToTLS, "the server requires TLS: write https:// in --s3-endpoint"},
		{true, tlsAlert, "the server requires TLS: write https:// in --s3-endpoint"},
		{true, "first record does not look like a TLS handshake", "the server does not speak TLS there: is the port of --s3-endpoint right?"},
		{true, "proxyconnect", "are HTTPS_PROXY and HTTP_PROXY right, and is the proxy running?"},
		{true, "Proxy Authentication Required", "the HTTP proxy requires a user and password, in HTTPS_PROXY or HTTP_PROXY"},
		{true, "API port", "this is the port of MinIO's console: set --s3-endpoint to the port of the API"},
		{b.cfg.LockFor > 0, "ObjectLockConfiguration", "--s3-object-lock requires a bucket that was created with Object Lock"},
		{b.cfg.SSE != "", "KMS", "--s3-sse requires a KMS for the server: set one up, or remove --s3-sse"},
		{b.cfg.SSE == "" && errors.Is(kind, ErrPermission), "kms:", "the bucket encrypts with a KMS key: allow these keys to use it"},
		{b.cfg.StorageClass != "" && o.stores() && !errors.Is(kind, ErrArchived), "torage class", "the server does not know this --s3-storage-class"},
		{true, "no such host", b.ofEndpoint("is --s3-endpoint right, and does DNS work?")},
		{true, "connection refused", b.ofEndpoint("is the server running, and is --s3-endpoint right?")},
	} {
		if h.when && strings.Contains(text, h.piece) {
			return h.hint
		}
	}
	return b.hintByKind(kind, o, err)
}

// endpointFlag is what hints call the endpoint, if it was not set elsewhere.
const endpointFlag = "--s3-endpoint"

// ofEndpoint returns the hint, or that the flag is missing.
func (b *Bucket) ofEndpoint(hint string) string {
	if b.cfg.Endpoint == "" {
		return "this is Amazon's server: set --s3-endpoint if your bucket is elsewhere"
	}
	return hint
}

func (b *Bucket) hintNotS3() string {
	if b.cfg.Endpoint == "" {
		return "a proxy or login page of the network answers in place of Amazon's server; or set --s3-endpoint if your bucket is elsewhere"
	}
	return "this does not seem to be the bucket's S3 server: is --s3-endpoint right, or does a proxy or login page of the network answer in its place?"
}

// keyFlags returns where the keys come from.
func (b *Bucket) keyFlags() string {
	if b.cfg.AccessKeyFile == "" && b.cfg.Keys == nil {
		return "the AWS keys in environment, profile or role"
	}
	return "--s3-access-key-file and --s3-secret-key-file"
}

func (b *Bucket) hintByKind(kind error, o op, err error) string {
	res, _ := response(err)
	skew, _ := b.transport.clock()
	is := func(target error) bool { return errors.Is(kind, target) }
	switch {
	case is(ErrArchived):
		return b.hintArchived(o)
	case as[*answerError](err):
		return b.hintNotS3()
	case is(ErrPermission) && o.action == "s3:DeleteObject":
		return "allow s3:DeleteObject in the policy of these keys, or set --s3-append-only if they must not delete"
	case is(ErrPermission):
		return fmt.Sprintf("allow %s in the policy of these keys", o.action)
	case is(ErrNoBucket):
		return "create the bucket, or correct --s3-bucket"
	case is(ErrCredentials) && res.Code == "SignatureDoesNotMatch":
		return "the secret key does not belong to the access key: correct " + b.keyFlags()
	case is(ErrCredentials) && strings.HasPrefix(res.Code, "Expired"):
		return "the keys have expired: renew them"
	case is(ErrCredentials) && res.Code != "":
		return "the server does not know these keys: correct " + b.keyFlags()
	case is(ErrClock):
		return fmt.Sprintf("this clock is %s the server's: correct it, for example with NTP", skewText(skew))
	case is(ErrTimeout):
		return "the server does not answer: is it overloaded, or does a firewall block it?"
	case is(ErrQuota):
		return "raise the quota, free some space there, or keep fewer snapshots with --s3-keep-last"
	case is(ErrConfig) && isRegion(res.Region) && res.Region != b.region:
		return fmt.Sprintf("the bucket is in %s: set --s3-region %s", res.Region, res.Region)
	case is(ErrConfig) && (res.Code == "AuthorizationHeaderMalformed" || res.Code == "InvalidRegion" || res.StatusCode == http.StatusMovedPermanently):
		return b.hintRegion()
	case is(ErrCertificate) && b.cfg.CA != "":
		return "are --s3-endpoint and --s3-ca right?"
	}
	return ""
}

// isRegion reports whether a server's word can be the name of a region, to be given to a flag.
func isRegion(word string) bool {
	return word != "" && len(word) <= 64 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (b *Bucket) hintRegion() string {
	if b.cfg.Region == "" && b.region != "" {
		return fmt.Sprintf("set --s3-region to the bucket's region: without it, %s was used", b.region)
	}
	return "--s3-region is not the bucket's region, or the server belongs to another region"
}

func (b *Bucket) hintArchived(o op) string {
	if class := strings.ToUpper(b.cfg.StorageClass); class == "GLACIER" || class == "DEEP_ARCHIVE" {
		return fmt.Sprintf("--s3-storage-class %s archives snapshots at once, and restoring one takes hours: use GLACIER_IR or STANDARD_IA", b.cfg.StorageClass)
	}
	return fmt.Sprintf("archived in Glacier or a similar class: restore the object first, for example with: "+
		"%s", printable.Command("aws", "s3api", "restore-object", "--bucket", b.cfg.Bucket, "--key", o.key, "--restore-request", "Days=7"))
}

// skewText returns, for example, "20m0s ahead of" or "5s behind".
func skewText(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Second).String() + " behind"
	}
	return d.Round(time.Second).String() + " ahead of"
}
