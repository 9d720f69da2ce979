package s3

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/time/rate"

	"etcd-rolling-backup/snapshot"
)

// attempts is how often a call is made that fails in a way that may pass at once. What lasts longer is for the caller.
const attempts = 5

// firstRest comes before the second try: four rests of up to 0.5, 1, 2 and 4 s.
const firstRest = 500 * time.Millisecond

// Bucket is a folder in a bucket. It may be used by several goroutines.
type Bucket struct {
	cfg       Config
	core      minio.Core
	transport *transport
	endpoint  string
	region    string
	prefix    string // "" or "folder/"
	put       minio.PutObjectOptions
	limit     *rate.Limiter // nil: unlimited
	rest      time.Duration // before the second try; it doubles
}

// Open reads the files that Config names and makes no request. Errors wrap ErrConfig.
func Open(c Config) (*Bucket, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Stall == 0 {
		c.Stall = defaultStall
	}
	u, err := c.endpointURL()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	b := &Bucket{cfg: c, transport: newTransport(tlsConfig, c.Timeout, c.Stall), endpoint: u.String(), region: c.region(u), rest: firstRest}
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
	lookup, err := c.lookup()
	if err != nil {
		return nil, err
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: keys, Secure: u.Scheme == "https", Transport: b.transport, Region: b.region, BucketLookup: lookup,
		MaxRetries: 1, // none: minio-go's retries hide what happened and wait without end
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
		// Signing the payload would read it through SHA-256 in small chunks. The checksum stands in a signed header.
		DisableContentSha256: true,
	}, err
}

// Close lets go of idle connections; calls under way go on.
func (b *Bucket) Close() { b.transport.base.CloseIdleConnections() }

// String says where the snapshots are, without secrets.
func (b *Bucket) String() string {
	return strings.TrimSuffix("s3://"+b.cfg.Bucket+"/"+b.prefix, "/") + " at " + b.endpoint
}

// skew is how far this clock was ahead of the server's when it last answered, good to about a second; 0 before the
// first answer.
func (b *Bucket) skew() time.Duration {
	skew, _ := b.transport.clock()
	return skew
}

func (b *Bucket) key(n snapshot.Name) string { return b.prefix + n.String() }

// op is one call to the server, as errors tell it.
type op struct {
	doing  string // "put NAME"
	action string // the permission it needs
	long   bool   // a transfer: only Stall bounds it
}

// do makes the call, and makes it again where that may help. Errors are explained.
func (b *Bucket) do(ctx context.Context, o op, call func(context.Context) error) error {
	for try := 1; ; try++ {
		err := b.once(ctx, o, call)
		if err == nil {
			return nil
		}
		err = b.explain(ctx, o.doing, o.action, err)
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

// pause rests longer after each try, and not the same for everybody; false when ctx ended.
func (b *Bucket) pause(ctx context.Context, try int) bool {
	longest := b.rest << (try - 1)
	timer := time.NewTimer(longest/2 + rand.N(longest/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
