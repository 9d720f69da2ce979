package s3

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// List returns the folder's snapshots, newest first. It skips deeper folders and keys without a valid name.
func (b *Bucket) List(ctx context.Context) ([]snapshot.Entry, error) {
	var entries []snapshot.Entry
	err := b.do(ctx, op{doing: "list", action: "s3:ListBucket", long: true}, func(ctx context.Context) (err error) {
		entries, err = b.list(ctx)
		return err
	})
	slices.SortFunc(entries, snapshot.NewestFirst)
	return entries, err
}

// list gives each page its own deadline, because each page is a separate call.
func (b *Bucket) list(ctx context.Context) ([]snapshot.Entry, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	page := time.AfterFunc(b.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer page.Stop()
	var entries []snapshot.Entry
	for o := range b.core.ListObjectsIter(ctx, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if o.Err != nil && ctx.Err() == nil {
			return nil, o.Err
		}
		if ctx.Err() != nil {
			break
		}
		page.Reset(b.cfg.Timeout)
		if name, ok := b.nameOf(o.Key); ok {
			entries = append(entries, snapshot.Entry{Name: name, Size: o.Size, Modified: o.LastModified})
		}
	}
	if ctx.Err() != nil { // the iterator may end without an error then
		return nil, context.Cause(ctx)
	}
	return entries, nil
}

func (b *Bucket) nameOf(key string) (snapshot.Name, bool) {
	rest, ok := strings.CutPrefix(key, b.prefix)
	if !ok {
		return snapshot.Name{}, false
	}
	n, err := snapshot.ParseName(rest)
	return n, err == nil
}
