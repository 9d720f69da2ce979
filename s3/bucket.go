// Package s3 stores snapshots, and the segments of the journal between them, in a bucket: put, list, get, remove, and returns errors by class.
//
// Invariant: every key that List returns, or that another method touches, is the folder, a slash and a valid snapshot name; that of
// a segment is the folder, /journal/ and the valid name of a complete segment.
// Nothing else in the bucket is read, changed or removed, except what Probe itself stores. PutArchive reports success only after the
// server has reported size and checksum of what it stored, and both match the archive; it overwrites nothing unless it is asked to.
// An answer that does not come from this bucket is an error, whatever its status.
//
// Permissions: s3:PutObject, s3:GetObject and s3:DeleteObject on the folder's keys and s3:ListBucket on its prefix are enough; no
// call lists buckets, checks one with HEAD, or, without FindRegion, asks for its location. Without these optional permissions nothing fails:
// s3:AbortMultipartUpload and s3:ListBucketMultipartUploads remove uploads that a crash left (so does a lifecycle rule
// AbortIncompleteMultipartUpload); s3:GetObjectRetention lets Remove detect a lock from the bucket's default. LockFor also
// requires s3:PutObjectRetention.
//
// Versioned buckets: Remove writes a delete marker, as a plain delete does. The snapshot then disappears from List. The bucket's
// lifecycle rule (NoncurrentVersionExpiration) decides when its bytes are deleted, because the permission to delete versions
// would let a stolen key destroy every backup. Remove does not hide a snapshot under Object Lock behind a marker: it refuses with
// ErrLocked.
//
// Stolen keys: with Config.AppendOnly s3:PutObject, s3:GetObject and s3:ListBucket are enough. What such keys overwrite stays as an old
// version in a versioned bucket, and with Config.Versions the original is read; see versions.go.
package s3

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/time/rate"

	"etcd-rolling-backup/snapshot"
)

// attempts is how often a call is made if its error may pass within seconds. The caller handles errors that last longer.
const attempts = 5

// firstBackoff is the longest wait before the second try. There are four waits, of up to 0.5, 1, 2 and 4 s.
const firstBackoff = 500 * time.Millisecond

// Bucket is a folder in a bucket. It is safe for concurrent use.
type Bucket struct {
	cfg        Config
	core       minio.Core
	transport  *transport
	endpoint   string
	region     string
	prefix     string // "" or "folder/"
	put        minio.PutObjectOptions
	learned    *Learned
	versions   versions
	limit      *rate.Limiter // nil: unlimited
	maxEntries int           // of a listing, which may have no end
	// clockDifference is how much earlier than the time in its name a snapshot may seem to be stored: that is the time of another clock.
	clockDifference time.Duration
	backoff         time.Duration // before the second try; it doubles
}

// Open reads the files that Config names and makes no request. Errors wrap ErrConfig.
func Open(c Config) (*Bucket, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.Timeout, c.Stall = cmp.Or(c.Timeout, defaultTimeout), cmp.Or(c.Stall, defaultStall)
	u, _ := c.endpointURL() // Check has accepted it
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	b := &Bucket{
		cfg: c, transport: newTransport(c.Bucket, tlsConfig, c.Timeout, c.Stall), endpoint: u.String(), region: c.region(u), backoff: firstBackoff,
		maxEntries: 1_000_000, clockDifference: time.Minute, learned: cmp.Or(c.Learned, new(Learned)),
	}
	if folder := strings.Trim(c.Folder, "/"); folder != "" {
		b.prefix = folder + "/"
	}
	if c.UploadRate > 0 {
		b.limit = newLimit(c.UploadRate)
	}
	keys, err := c.credentials(b.transport)
	if err != nil {
		return nil, err
	}
	lookup, _ := c.lookup() // Check has accepted it
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: keys, Secure: u.Scheme == "https", Transport: b.transport, Region: b.region, BucketLookup: lookup,
		MaxRetries: 1, // no retries: those of minio-go hide the error and wait without limit
	})
	if err != nil {
		return nil, configError("--s3-endpoint: %w", err)
	}
	b.core = *core
	b.put, err = c.putOptions()
	return b, err
}

func (c Config) putOptions() (minio.PutObjectOptions, error) {
	sse, err := c.encryption()
	return minio.PutObjectOptions{
		ContentType:          "application/zstd",
		ServerSideEncryption: sse,
		StorageClass:         c.StorageClass,
		// Signing the payload would read it through SHA-256 in small chunks. The checksum is in a signed header instead.
		DisableContentSha256: true,
	}, err
}

// Close closes idle connections; running calls continue.
func (b *Bucket) Close() { b.transport.base.CloseIdleConnections() }

// String returns where the snapshots are, without secrets.
func (b *Bucket) String() string {
	return strings.TrimSuffix("s3://"+b.cfg.Bucket+"/"+b.prefix, "/") + " at " + b.endpoint
}

// object is one object, and how errors name it.
type object struct {
	name, key string
	version   string // "": the current one
}

// reading is an op that reads the object.
func (o object) reading(doing string) op {
	p := op{doing: doing + " " + o.name, action: "s3:GetObject", key: o.key}
	if o.version != "" {
		p.action = "s3:GetObject and s3:GetObjectVersion" // MinIO wants the first, Amazon the second
	}
	return p
}

func (b *Bucket) objectOf(n snapshot.Name) object {
	return object{name: n.String(), key: b.prefix + n.String()}
}

// op is one call to the server, as errors name it.
type op struct {
	doing  string // "put NAME"
	action string // the permission it needs
	key    string // of the object; "" if there is none
	long   bool   // a transfer: limited only by Stall
}

func (o op) stores() bool { return strings.Contains(o.action, "s3:PutObject") }

// do makes the call, and repeats it if that may help. It adds an explanation to errors.
func (b *Bucket) do(ctx context.Context, o op, call func(context.Context) error) error {
	for try := 1; ; try++ {
		err := b.once(ctx, o, call)
		if err == nil {
			return nil
		}
		err = b.explain(ctx, o, err)
		if try == attempts || !transient(err) || !b.pause(ctx, try) {
			return err
		}
	}
}

func (b *Bucket) once(ctx context.Context, o op, call func(context.Context) error) error {
	if o.long {
		return call(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	return call(ctx)
}

// pause waits longer after each try, with a random part so that clients do not retry in step; false if ctx ended.
func (b *Bucket) pause(ctx context.Context, try int) bool {
	longest := b.backoff << (try - 1)
	select {
	case <-time.After(longest/2 + rand.N(longest/2)):
		return true
	case <-ctx.Done():
		return false
	}
}
