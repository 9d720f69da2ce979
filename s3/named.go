package s3

import (
	"context"
	"strings"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// Named returns the objects directly in the folder whose names begin with a text, as the server lists them, without the rules for names
// that List has: what rke-tools stored may have any name. It finds nothing for the empty text.
func (b *Bucket) Named(ctx context.Context, beginning string) ([]snapshot.Entry, error) {
	if beginning == "" {
		return nil, nil
	}
	var entries []snapshot.Entry
	err := b.eachUnder(ctx, b.prefix+beginning, func(o minio.ObjectInfo) bool {
		rest, ok := strings.CutPrefix(o.Key, b.prefix)
		if name, err := snapshot.OtherName(rest); ok && err == nil {
			entries = append(entries, snapshot.Entry{Name: name, Size: o.Size, Modified: o.LastModified})
		}
		return len(entries) <= b.maxEntries
	}, func() { entries = nil })
	if err != nil {
		return nil, err
	}
	if len(entries) > b.maxEntries {
		return nil, b.explain(ctx, op{doing: "list", action: "s3:ListBucket"}, notS3("it lists more than %d snapshots", b.maxEntries))
	}
	return entries, nil
}

// Versioned reports whether the bucket keeps the old versions of an object that is overwritten. It needs s3:GetBucketVersioning.
func (b *Bucket) Versioned(ctx context.Context) (versioned bool, err error) {
	err = b.do(ctx, op{doing: "read the versioning of the bucket", action: "s3:GetBucketVersioning"}, func(ctx context.Context) error {
		v, err := b.core.GetBucketVersioning(ctx, b.cfg.Bucket)
		versioned = v.Enabled()
		return err
	})
	return versioned, err
}
