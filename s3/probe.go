package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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

// Probe stores, reads, lists and deletes a tiny object in the folder, under a key that no snapshot can have, and begins and
// aborts an upload of it. It reports the result of each step, and how far the clocks are apart. If storing fails, it skips the
// steps that need the object, and says so.
func (b *Bucket) Probe(ctx context.Context) []Permission {
	p := &probe{Bucket: b, key: b.prefix + "probe-" + rand.Text() + ".tmp", body: []byte("etcd-rolling-backup\n")}
	out := []Permission{{Action: "s3:PutObject", Purpose: "store snapshots", Err: p.put(ctx)}}
	if b.cfg.LockFor > 0 {
		out[0].Action, out[0].Purpose = out[0].Action+", s3:PutObjectRetention", "store and lock snapshots"
	}
	stored := out[0].Err == nil
	onStored := func(action, purpose string, try func(context.Context) error) Permission {
		if !stored {
			return Permission{Action: action, Purpose: purpose, Optional: true, Err: errNotTried}
		}
		return Permission{Action: action, Purpose: purpose, Err: try(ctx)}
	}
	return append(out,
		onStored("s3:GetObject", "read and verify them", p.get),
		Permission{Action: "s3:ListBucket", Purpose: "find them", Err: p.list(ctx, stored)},
		onStored("s3:DeleteObject", "prune them", p.delete),
		Permission{Action: "s3:ListBucketMultipartUploads", Purpose: "remove incomplete uploads", Optional: true, Err: p.uploads(ctx)},
		p.aborts(ctx, stored),
		b.clock())
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
	key  string
	body []byte
}

func (p *probe) call(ctx context.Context, action string, call func(context.Context) error) error {
	return p.do(ctx, op{doing: "probe", action: action}, call)
}

// probeLock is how long a probe is locked if snapshots are: long enough for clocks that differ a little.
const probeLock = time.Minute

// put locks the probe if snapshots are locked, but only for a moment, and in the mode that an administrator can remove.
func (p *probe) put(ctx context.Context) error {
	sent := piece{size: int64(len(p.body))}
	if err := sent.digest(bytes.NewReader(p.body), p.cfg.Checksum, make([]byte, maxChunk)); err != nil {
		return err
	}
	opts := p.Bucket.put
	contentMD5, header := p.checksum(&sent)
	opts.UserMetadata = header
	action := "s3:PutObject"
	if p.cfg.LockFor > 0 {
		action += " and s3:PutObjectRetention"
		opts.Mode, opts.RetainUntilDate = minio.Governance, time.Now().Add(probeLock).UTC()
	}
	return p.call(ctx, action, func(ctx context.Context) error {
		_, err := p.core.PutObject(ctx, p.cfg.Bucket, p.key, bytes.NewReader(p.body), sent.size, contentMD5, "", opts)
		return err
	})
}

func (p *probe) get(ctx context.Context) error {
	return p.call(ctx, "s3:GetObject", func(ctx context.Context) error {
		body, _, _, err := p.core.GetObject(ctx, p.cfg.Bucket, p.key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		got, err := io.ReadAll(io.LimitReader(body, int64(len(p.body))+1))
		if err == nil && !bytes.Equal(got, p.body) {
			return fmt.Errorf("%w: the server returned other bytes than were stored", ErrChecksum)
		}
		return err
	})
}

func (p *probe) list(ctx context.Context, stored bool) error {
	return p.call(ctx, "s3:ListBucket", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range p.core.ListObjectsIter(ctx, p.cfg.Bucket, minio.ListObjectsOptions{Prefix: p.key, MaxKeys: 2}) {
			if o.Err != nil || o.Key == p.key {
				return o.Err
			}
		}
		if stored && ctx.Err() == nil {
			return fmt.Errorf("%w: the server does not list what was just stored", ErrConfig)
		}
		return ctx.Err()
	})
}

func (p *probe) delete(ctx context.Context) error {
	// Even if the caller has given up: the probe must not stay.
	ctx = context.WithoutCancel(ctx)
	return p.call(ctx, "s3:DeleteObject", func(ctx context.Context) error {
		return p.core.RemoveObject(ctx, p.cfg.Bucket, p.key, minio.RemoveObjectOptions{})
	})
}

func (p *probe) uploads(ctx context.Context) error {
	return p.call(ctx, "s3:ListBucketMultipartUploads", func(ctx context.Context) error {
		_, err := p.core.ListMultipartUploads(ctx, p.cfg.Bucket, p.key, "", "", "/", 1)
		return err
	})
}

// noUpload is an ID that no server uses.
const noUpload = "none"

// aborts first tries to abort an upload that does not exist, so that nothing is left if the permission is missing. Then it aborts
// a real one, because a server may look for the upload before it checks the permission.
func (p *probe) aborts(ctx context.Context, stored bool) Permission {
	line := Permission{Action: "s3:AbortMultipartUpload", Purpose: "remove incomplete uploads", Optional: true}
	if !stored {
		line.Err = errNotTried
		return line
	}
	if line.Err = p.end(ctx, noUpload); errors.Is(line.Err, ErrPermission) {
		return line
	}
	id, err := p.begin(ctx)
	if err != nil {
		return Permission{Action: "s3:PutObject", Purpose: "store snapshots in parts", Err: err}
	}
	// Even if the caller has given up: the upload must not stay.
	if line.Err = p.end(context.WithoutCancel(ctx), id); line.Err != nil {
		line.Err = fmt.Errorf("%w; an empty upload of %s is left: a lifecycle rule AbortIncompleteMultipartUpload removes it", line.Err, p.key)
	}
	return line
}

func (p *probe) begin(ctx context.Context) (id string, err error) {
	err = p.call(ctx, "s3:PutObject", func(ctx context.Context) (err error) {
		id, err = p.core.NewMultipartUpload(ctx, p.cfg.Bucket, p.key, p.Bucket.put)
		return err
	})
	return id, err
}

func (p *probe) end(ctx context.Context, id string) error {
	return p.call(ctx, "s3:AbortMultipartUpload", func(ctx context.Context) error {
		return unlessGone(p.core.AbortMultipartUpload(ctx, p.cfg.Bucket, p.key, id))
	})
}
