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

// Remove deletes one snapshot; in a versioned bucket it puts a delete marker over it. One that is not there wraps
// snapshot.ErrNotFound, one that Object Lock holds wraps ErrLocked and stays as it is.
func (b *Bucket) Remove(ctx context.Context, n snapshot.Name) error {
	// S3 deletes what is not there without a word, and hides what is locked behind a marker.
	info, err := b.stat(ctx, "remove", n)
	if err != nil {
		return err
	}
	if why := b.locked(info, time.Now()); why != "" {
		return b.explain(ctx, "remove "+n.String(), "", fmt.Errorf("%w: %s", ErrLocked, why))
	}
	return b.delete(ctx, n)
}

// locked tells what holds the object. The headers are there only with s3:GetObjectRetention and
// s3:GetObjectLegalHold; without them what PutArchive itself has set is known.
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
