package s3

import (
	"context"
	"fmt"
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
	// S3 reports no error when it deletes a missing object, and hides a locked one behind a marker.
	info, err := b.stat(ctx, "remove", n)
	if err != nil {
		return err
	}
	if why := b.locked(info, time.Now()); why != "" {
		return b.explain(ctx, "remove "+n.String(), "", fmt.Errorf("%w: %s", ErrLocked, why))
	}
	return b.delete(ctx, n)
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

func (b *Bucket) delete(ctx context.Context, n snapshot.Name) error {
	return b.do(ctx, op{doing: "remove " + n.String(), action: "s3:DeleteObject"}, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.cfg.Bucket, b.key(n), minio.RemoveObjectOptions{})
	})
}
