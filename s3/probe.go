package s3

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// maxSkew is a little less than the 15 minutes at which servers begin to refuse signatures.
const maxSkew = 10 * time.Minute

// Permission is one line of a Probe.
type Permission struct {
	Action   string // s3:PutObject and so on, or clock
	Purpose  string // what it is for
	Detail   string // what was found, if there is more to say than success
	Optional bool   // a failure does not prevent backups
	Err      error  // nil: success
}

// Probe stores, reads, lists and deletes tiny objects in the folder, in one request and in parts, under keys that no snapshot can have.
// It does that as PutArchive, Get, List and Remove do. It reports the result of each step, and how far the clocks are apart. If
// storing fails, it skips the steps that need the object, and says so. With AppendOnly the objects stay, under the same keys each time,
// and what it tries to remove are only they.
func (b *Bucket) Probe(ctx context.Context) []Permission {
	key := b.prefix + "probe-" + rand.Text()
	if b.cfg.AppendOnly {
		key = b.prefix + "probe-append-only" // always the same, because it stays
	}
	p := &probe{Bucket: b, small: object{name: "probe", key: key + ".tmp"}, large: object{name: "probe in parts", key: key + "-parts.tmp"}}
	defer p.clear(ctx)
	put := Permission{Action: "s3:PutObject", Purpose: "store snapshots", Err: p.put(ctx, p.small, false)}
	inParts := Permission{Action: "s3:PutObject", Purpose: "store large snapshots in parts", Err: errNotTried}
	if b.cfg.LockFor > 0 {
		put.Action, put.Purpose = put.Action+", s3:PutObjectRetention", "store and lock snapshots"
		inParts.Action, inParts.Purpose = put.Action, "store and lock large snapshots in parts"
	}
	if p.stored = put.Err == nil; p.stored {
		inParts.Err = p.put(ctx, p.large, true)
		p.inParts = inParts.Err == nil
		put.Detail = "in " + b.String() + ", " + b.proof()
	}
	onStored := func(action, purpose string, try func(context.Context) error) Permission {
		if !p.stored {
			return Permission{Action: action, Purpose: purpose, Optional: true, Err: errNotTried}
		}
		return Permission{Action: action, Purpose: purpose, Err: try(ctx)}
	}
	inParts.Optional = !p.stored
	lines := []Permission{
		put, inParts,
		onStored("s3:GetObject", "read and verify them", p.get),
		{Action: "s3:ListBucket", Purpose: "find them", Err: p.list(ctx)},
	}
	if b.cfg.AppendOnly {
		return append(lines, append(p.appendOnly(ctx), b.clock())...)
	}
	return append(lines,
		onStored("s3:DeleteObject", "prune them", p.delete),
		Permission{Action: "s3:ListBucketMultipartUploads", Purpose: "remove incomplete uploads", Optional: true, Err: p.uploads(ctx)},
		p.aborts(ctx),
		b.clock(),
	)
}

// proof says how uploads are proven.
func (b *Bucket) proof() string {
	if b.bestWay().md5 {
		return "proven by size and MD5"
	}
	return "proven by S3's CRC-32C"
}

func (b *Bucket) clock() Permission {
	p := Permission{Action: "clock", Purpose: "sign requests"}
	skew, known := b.transport.clock()
	switch {
	case !known:
		p.Detail = "no answer to compare with"
	case skew.Abs() < 2*time.Second:
		p.Detail = "the same as the server's"
	default:
		p.Detail = skewText(skew) + " the server's"
	}
	if skew.Abs() > maxSkew {
		p.Err = fmt.Errorf("%w: this clock is %s the server's: correct it, for example with NTP", ErrClock, skewText(skew))
	}
	return p
}

var errNotTried = errors.New("not tried, because storing the probe failed")

type probe struct {
	*Bucket
	small, large object
	stored       bool // small is there
	inParts      bool // large is there
}

const probeText = "etcd-rolling-backup\n"

func (p *probe) call(ctx context.Context, action string, call func(context.Context) error) error {
	return p.do(ctx, op{doing: "probe", action: action, key: p.small.key}, call)
}

// probeLock is how long a probe is locked if snapshots are: long enough for clocks that differ a little.
const probeLock = time.Minute

// put locks the probe if snapshots are locked, but only for a moment.
func (p *probe) put(ctx context.Context, o object, parts bool) error {
	u := p.upload(o, strings.NewReader(probeText), int64(len(probeText)))
	u.parts, u.replace, u.lockFor = parts, p.cfg.AppendOnly, min(u.lockFor, probeLock)
	err := u.run(ctx)
	if missing, ok := errors.AsType[*PermissionError](err); ok && missing.Action == u.reading().action {
		return nil // it was stored, and get reports what is missing
	}
	return err
}

func (p *probe) get(ctx context.Context) error {
	body, _, err := p.Bucket.get(ctx, p.small)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(io.LimitReader(body, int64(len(probeText))+1))
	if err == nil && string(got) != probeText {
		return fmt.Errorf("%w: the server returned other bytes than were stored", ErrChecksum)
	}
	return err
}

func (p *probe) list(ctx context.Context) error {
	found := false
	err := p.eachUnder(ctx, p.prefix, func(info minio.ObjectInfo) bool {
		found = found || info.Key == p.small.key
		return !found
	}, func() { found = false })
	if err == nil && p.stored && !found {
		return p.explain(ctx, op{doing: "list", action: "s3:ListBucket"}, fmt.Errorf("%w: the server does not list what was just stored", ErrConfig))
	}
	return err
}

func (p *probe) delete(ctx context.Context) error {
	// Even if the caller has given up: the probe must not stay.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	err := p.Bucket.delete(ctx, p.small)
	if p.inParts {
		err = cmp.Or(err, p.Bucket.delete(ctx, p.large))
	}
	return err
}

// clear removes what may be stored although the caller gave up before it was known.
func (p *probe) clear(ctx context.Context) {
	if ctx.Err() == nil || p.cfg.AppendOnly || p.stored && p.inParts {
		return
	}
	p.inParts = true
	_ = p.delete(ctx) // nobody waits for it
}

func (p *probe) uploads(ctx context.Context) error {
	return p.call(ctx, "s3:ListBucketMultipartUploads", func(ctx context.Context) error {
		_, err := p.core.ListMultipartUploads(ctx, p.cfg.Bucket, p.small.key, "", "", "/", 1)
		return err
	})
}

// noUpload is an ID that no server uses.
const noUpload = "none"

// aborts first tries to abort an upload that does not exist, so that nothing is left if the permission is missing. Then it aborts
// a real one, because a server may look for the upload before it checks the permission.
func (p *probe) aborts(ctx context.Context) Permission {
	line := Permission{Action: "s3:AbortMultipartUpload", Purpose: "remove incomplete uploads", Optional: true}
	if !p.stored {
		line.Err = errNotTried
		return line
	}
	if line.Err = p.end(ctx, noUpload); errors.Is(line.Err, ErrPermission) {
		return line
	}
	id, err := p.begin(ctx)
	if err != nil {
		line.Err = err
		return line
	}
	// Even if the caller has given up: the upload must not stay.
	if line.Err = p.end(context.WithoutCancel(ctx), id); line.Err != nil {
		line.Err = fmt.Errorf("%w; an empty upload of %s is left: a lifecycle rule AbortIncompleteMultipartUpload removes it", line.Err, p.small.key)
	}
	return line
}

func (p *probe) begin(ctx context.Context) (id string, err error) {
	err = p.call(ctx, "s3:PutObject", func(ctx context.Context) (err error) {
		id, err = p.core.NewMultipartUpload(ctx, p.cfg.Bucket, p.small.key, p.Bucket.put)
		return err
	})
	return id, err
}

func (p *probe) end(ctx context.Context, id string) error {
	return p.call(ctx, "s3:AbortMultipartUpload", func(ctx context.Context) error {
		return unlessGone(p.core.AbortMultipartUpload(ctx, p.cfg.Bucket, p.small.key, id))
	})
}
