package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

const (
	headerRetainUntil = "X-Amz-Object-Lock-Retain-Until-Date"
	headerLegalHold   = "X-Amz-Object-Lock-Legal-Hold"
)

// Remove deletes one snapshot; in a versioned bucket it adds a delete marker. A missing snapshot wraps snapshot.ErrNotFound. One
// under Object Lock wraps ErrLocked and does not change.
func (b *Bucket) Remove(ctx context.Context, n snapshot.Name) error {
	return b.remove(ctx, b.objectOf(n))
}

func (b *Bucket) remove(ctx context.Context, o object) error {
	if b.cfg.AppendOnly {
		return b.explain(ctx, op{doing: "remove " + o.name}, errAppendOnly)
	}
	// S3 reports no error when it deletes a missing object, and hides a locked one behind a marker.
	info, err := b.stat(ctx, "remove", o, false)
	if err != nil {
		return err
	}
	if why := b.locked(info, time.Now()); why != "" {
		return b.explain(ctx, op{doing: "remove " + o.name}, fmt.Errorf("%w: %s", ErrLocked, why))
	}
	return b.delete(ctx, o)
}

// errAppendOnly is for callers that should not have come this far.
var errAppendOnly = fmt.Errorf("%w: with --s3-append-only nothing is removed: the bucket's lifecycle does that", ErrConfig)

// discard takes the name from a wrong object that was just stored. Where nothing may be removed, an empty version covers it: the next
// listing shows a size that is not the archive's, and the archive is stored again.
func (u *upload) discard(ctx context.Context) error {
	if !u.cfg.AppendOnly {
		return u.delete(ctx, u.object)
	}
	return u.do(ctx, u.op(), func(ctx context.Context) error {
		_, err := u.core.PutObject(ctx, u.cfg.Bucket, u.key, http.NoBody, 0, "", "", u.options(nil))
		return err
	})
}

// locked returns what locks the object. The headers need s3:GetObjectRetention and s3:GetObjectLegalHold. Without them, only the
// lock that PutArchive itself sets is known.
func (b *Bucket) locked(info minio.ObjectInfo, now time.Time) string {
	if strings.EqualFold(info.Metadata.Get(headerLegalHold), "ON") {
		return "legal hold"
	}
	until, err := time.Parse(time.RFC3339, info.Metadata.Get(headerRetainUntil))
	if err != nil && b.cfg.LockFor > 0 {
		until = info.LastModified.Add(b.cfg.LockFor)
	}
	if now.Before(until) {
		return "until " + until.UTC().Format(time.RFC3339)
	}
	return ""
}

func (b *Bucket) delete(ctx context.Context, o object) error {
	return b.do(ctx, op{doing: "remove " + o.name, action: "s3:DeleteObject", key: o.key}, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.cfg.Bucket, o.key, minio.RemoveObjectOptions{})
	})
}

// Sweep aborts multipart uploads that began olderThan ago, of snapshots whose names begin with one of the prefixes and for which mine
// returns true, and returns how many. Without prefixes it looks at all.
// Without s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or with AppendOnly, it does nothing. MinIO never lists uploads by prefix, so
// Sweep finds none there. Instead PutArchive aborts what earlier tries for the same snapshot left, and MinIO removes the rest
// after a day.
func (b *Bucket) Sweep(ctx context.Context, prefixes []string, mine func(snapshot.Name) bool, olderThan time.Duration) (int, error) {
	if b.cfg.AppendOnly {
		return 0, nil
	}
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	aborted, before := 0, time.Now().Add(-olderThan)
	var failed error
	for _, prefix := range prefixes {
		n, err := b.sweepUnder(ctx, prefix, mine, before)
		aborted, failed = aborted+n, errors.Join(failed, err)
	}
	return aborted, failed
}

func (b *Bucket) sweepUnder(ctx context.Context, prefix string, mine func(snapshot.Name) bool, before time.Time) (aborted int, err error) {
	err = b.eachUpload(ctx, b.prefix+prefix, func(m minio.ObjectMultipartInfo) error {
		n, ok := b.nameOf(m.Key)
		if !ok || !mine(n) || m.Initiated.After(before) {
			return nil
		}
		err := b.do(ctx, op{doing: "abort upload of " + n.String(), action: "s3:AbortMultipartUpload"}, func(ctx context.Context) error {
			return unlessGone(b.core.AbortMultipartUpload(ctx, b.cfg.Bucket, m.Key, m.UploadID))
		})
		if err == nil {
			aborted++
		}
		return err
	})
	return aborted, err
}

// allowed ignores a missing permission: a lifecycle rule can do the work too, and Probe reports it. err must be one error,
// because errors.Is would find it among several joined ones.
func allowed(err error) error {
	if errors.Is(err, ErrPermission) {
		return nil
	}
	return err
}

// eachUpload visits the incomplete uploads of keys under prefix, of any name. It continues after an error of visit. Missing permissions
// are no error.
func (b *Bucket) eachUpload(ctx context.Context, prefix string, visit func(minio.ObjectMultipartInfo) error) error {
	var key, id string
	var failed error
	for {
		var page minio.ListMultipartUploadsResult
		err := b.do(ctx, op{doing: "list uploads", action: "s3:ListBucketMultipartUploads"}, func(ctx context.Context) (err error) {
			page, err = b.core.ListMultipartUploads(ctx, b.cfg.Bucket, prefix, key, id, "/", 0)
			return unlessGone(err) // gofakes3 reports an empty list like this
		})
		if err != nil {
			return errors.Join(failed, allowed(err))
		}
		for _, m := range page.Uploads {
			failed = errors.Join(failed, allowed(visit(m)))
		}
		if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
			return failed
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
