package s3

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"etcd-rolling-backup/snapshot/keyfile"
)

const (
	defaultTimeout  = 30 * time.Second
	defaultStall    = time.Minute
	defaultEndpoint = "s3.amazonaws.com"
	defaultRegion   = "us-east-1" // what servers other than Amazon's accept if no region is set

	// minUploadRate is fast enough to move a byte within any sensible Stall.
	minUploadRate = 1 << 10
)

// Checksum modes.
const (
	ChecksumAuto = "auto" // S3's own, CRC-32C of each part and of the whole object; MD5 if the server does not take them
	ChecksumMD5  = "md5"  // Content-MD5 and ETag
)

// Config says where the bucket is and how to reach it. Open reads files and environment each time, so rotated keys and
// certificates need no restart.
type Config struct {
	Bucket   string
	Endpoint string // with or without scheme: https by default, plain http only with http://; "" is Amazon
	// EndpointFrom is where Endpoint was set, for hints, as $AWS_ENDPOINT_URL; "" is --s3-endpoint.
	EndpointFrom string
	Region       string
	// FindRegion asks the server for the bucket's region if Region and Endpoint do not say it, which needs s3:GetBucketLocation.
	FindRegion bool
	Folder     string // leading and trailing slashes do not matter

	// Both or none. Without them, the first of these that has keys: environment, AWS profile file, web identity, IAM role.
	AccessKeyFile, SecretKeyFile string
	// Keys are the keys themselves, instead of files with them; nil: none.
	Keys *Keys

	CA                 string // PEM text, base64 of PEM, or a file path; the system's root certificates stay trusted
	InsecureSkipVerify bool
	Lookup             string // auto, dns, path; "" is auto
	SSE                string // "", s3, kms (the bucket's default key) or kms:KEYID
	StorageClass       string
	LockMode           string        // governance or compliance
	LockFor            time.Duration // 0: no Object Lock
	UploadRate         int64         // bytes per second, 0: unlimited
	Checksum           string        // auto or md5; "" is auto
	Timeout            time.Duration // for each small call; 0: 30 s
	Learned            *Learned      // of earlier Buckets of the same server; nil: nothing yet
	Stall              time.Duration // longest time in a transfer in which no byte moves; 0: 1 min

	// AppendOnly is for keys that may only store, list and read: nothing is removed, and no removal is requested, except by Probe.
	AppendOnly bool
	// Versions makes List find what was deleted or overwritten in a versioned bucket, and Get and Tail read it.
	Versions bool
	// VersionID, with Versions, is the version to use of the snapshot that has it; "": none is chosen.
	VersionID string
}

// Check finds settings that cannot work, without reading a file or asking a server. Errors wrap ErrConfig and name the flag.
func (c Config) Check() error {
	u, err := c.endpointURL()
	if err != nil {
		return err
	}
	switch {
	case c.Bucket == "":
		return configError("--s3-bucket is empty")
	case s3utils.CheckValidBucketName(c.Bucket) != nil:
		return configError("--s3-bucket: %q is not a valid bucket name: 3 to 63 letters, digits, dots, hyphens and underscores, or TENANT:BUCKET", c.Bucket)
	case c.Lookup == "dns" && !c.dnsName():
		return configError("--s3-bucket-lookup: dns puts %q into the server's host name, which allows only lowercase letters, digits, dots and hyphens: set path", c.Bucket)
	case u.Scheme == "http" && (c.CA != "" || c.InsecureSkipVerify):
		return configError("--s3-endpoint: %s is plain http, but --s3-ca or --s3-insecure-skip-verify is set: write https:// or remove them", u)
	case c.CA != "" && c.InsecureSkipVerify:
		return configError("--s3-ca and --s3-insecure-skip-verify contradict each other: set only one of them")
	case (c.AccessKeyFile == "") != (c.SecretKeyFile == ""):
		return configError("--s3-access-key-file and --s3-secret-key-file go together: set both or neither")
	case c.Keys != nil && (c.Keys.Access == "" || c.Keys.Secret == "" || c.AccessKeyFile != ""):
		return configError("the access key and the secret key go together: set both or neither")
	case c.UploadRate < 0 || 0 < c.UploadRate && c.UploadRate < minUploadRate:
		return configError("--s3-upload-rate: %d is not 0 (unlimited) or at least %d bytes per second", c.UploadRate, minUploadRate)
	case c.Timeout < 0 || c.Stall < 0:
		return configError("--s3-timeout and --s3-stall must not be negative")
	}
	if err := checkFolder(c.Folder); err != nil {
		return err
	}
	return c.checkChoices()
}

func (c Config) checkChoices() error {
	if _, err := c.lookup(); err != nil {
		return err
	}
	if _, err := c.encryption(); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]string{"", ChecksumAuto, ChecksumMD5}, c.Checksum):
		return configError("--s3-checksum: %q is not auto or md5", c.Checksum)
	case c.VersionID != "" && !c.Versions:
		return configError("--s3-version-id needs --s3-versions")
	case c.LockFor < 0:
		return configError("--s3-object-lock must not be negative")
	case c.LockFor > 0 && !c.lockMode().IsValid():
		return configError("--s3-object-lock-mode: %q is not governance or compliance", c.LockMode)
	}
	return nil
}

// endpointURL returns the scheme and host of the server. Errors do not quote the endpoint if it may contain a password.
func (c Config) endpointURL() (*url.URL, error) {
	full := cmp.Or(c.Endpoint, defaultEndpoint)
	if !strings.Contains(full, "://") {
		full = "https://" + full
	}
	u, err := url.Parse(full)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, configError("--s3-endpoint is not HOST, HOST:PORT, http://HOST or https://HOST")
	case u.User != nil:
		return nil, configError("--s3-endpoint contains a user or password: set the keys with --s3-access-key-file and --s3-secret-key-file")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, configError("--s3-endpoint: %s has a path: set the bucket with --s3-bucket, the folder with --s3-folder", u.Scheme+"://"+u.Host)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// region returns a region in any case, unless minio-go is to ask for it: that needs another permission.
func (c Config) region(u *url.URL) string {
	known := cmp.Or(c.Region, s3utils.GetRegionFromURL(*u))
	if known == "" && !c.FindRegion {
		return defaultRegion
	}
	return known
}

// dnsName reports that the bucket's name can be a part of a host name. Those of Ceph and old ones of Amazon may have capitals,
// underscores and a tenant.
func (c Config) dnsName() bool { return s3utils.CheckValidBucketNameStrict(c.Bucket) == nil }

func (c Config) lookup() (minio.BucketLookupType, error) {
	switch c.Lookup {
	case "", "auto":
		if !c.dnsName() {
			return minio.BucketLookupPath, nil
		}
		return minio.BucketLookupAuto, nil
	case "dns":
		return minio.BucketLookupDNS, nil
	case "path":
		return minio.BucketLookupPath, nil
	}
	return 0, configError("--s3-bucket-lookup: %q is not auto, dns or path", c.Lookup)
}

func (c Config) encryption() (encrypt.ServerSide, error) {
	kind, id, _ := strings.Cut(c.SSE, ":")
	switch {
	case c.SSE == "":
		return nil, nil //nolint:nilnil // no encryption is a choice, and minio-go's way to say it
	case c.SSE == "s3":
		return encrypt.NewSSE(), nil
	case kind == "kms" && (id != "" || c.SSE == "kms"):
		return encrypt.NewSSEKMS(id, nil)
	}
	return nil, configError("--s3-sse: %q is not s3, kms or kms:KEYID", c.SSE)
}

func (c Config) lockMode() minio.RetentionMode {
	return minio.RetentionMode(strings.ToUpper(c.LockMode))
}

// checkFolder refuses folder names that servers treat differently: for example, MinIO removes double slashes and refuses dots.
func checkFolder(folder string) error {
	trimmed := strings.Trim(folder, "/")
	if trimmed == "" {
		return nil
	}
	for part := range strings.SplitSeq(trimmed, "/") {
		if part == "" || part == "." || part == ".." {
			return configError("--s3-folder: %q contains an empty part, . or ..", folder)
		}
	}
	for _, r := range trimmed {
		if r < ' ' || r == 0x7f || r == '\\' || r == '\ufffd' {
			return configError("--s3-folder: %q contains %q, which some servers do not accept", folder, r)
		}
	}
	if len(trimmed) > 700 { // an object key has at most 1024 bytes, a snapshot name 250
		return configError("--s3-folder is longer than 700 bytes")
	}
	return nil
}

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
}

const pemBegin = "-----BEGIN"

// tlsConfig trusts the system's root certificates and --s3-ca.
func (c Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // --s3-insecure-skip-verify, by explicit wish
	}
	if c.CA == "" {
		return t, nil
	}
	pem, from, err := c.caPEM()
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container without root certificates
	}
	if !pool.AppendCertsFromPEM(keyfile.Unmark(pem)) {
		return nil, configError("--s3-ca: %s holds no PEM certificate", from)
	}
	t.RootCAs = pool
	return t, nil
}

// caPEM accepts the PEM text itself, its base64 encoding (with or without line breaks), or the path of a file.
func (c Config) caPEM() (pem []byte, from string, err error) {
	if strings.Contains(c.CA, pemBegin) {
		// A one-line variable often has
		// where the lines ended.
		return []byte(strings.ReplaceAll(c.CA, `\n`, "\n")), "the text", nil
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.CA), ""))
	if err == nil && strings.Contains(string(decoded), pemBegin) {
		return decoded, "the base64 text", nil
	}
	pem, err = keyfile.Text(c.CA)
	if err != nil {
		return nil, "", configError("--s3-ca is neither PEM text, nor base64 of PEM text, nor a readable file: %w", shorten(err))
	}
	return pem, c.CA, nil
}
