package s3

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// maxEntries limits the memory that a listing without end can take.
const maxEntries = 1_000_000

// List returns the folder's snapshots, newest first. It skips deeper folders and keys without a valid name.
func (b *Bucket) List(ctx context.Context) ([]snapshot.Entry, error) {
	var entries []snapshot.Entry
	err := b.do(ctx, op{doing: "list", action: "s3:ListBucket", long: true}, func(ctx context.Context) (err error) {
		entries, err = b.list(ctx, false)
		if res, ok := response(err); ok && res.Code == minio.NotImplemented { // some old servers know only the first version of this call
			entries, err = b.list(ctx, true)
		}
		return err
	})
	slices.SortFunc(entries, snapshot.NewestFirst)
	return entries, err
}

// list gives each page its own deadline, because each page is a separate call.
func (b *Bucket) list(ctx context.Context, oldAPI bool) ([]snapshot.Entry, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	page := time.AfterFunc(b.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer page.Stop()
	var entries []snapshot.Entry
	for o := range b.core.ListObjectsIter(ctx, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: b.prefix, UseV1: oldAPI}) {
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
		if len(entries) > maxEntries {
			return nil, notS3("it lists more than %d snapshots", maxEntries)
		}
	}
	if ctx.Err() != nil { // the iterator may end without an error then
		return nil, context.Cause(ctx)
	}
	return entries, nil
}

func (b *Bucket) nameOf(key string) (snapshot.Name, bool) {
	rest, ok := strings.CutPrefix(key, b.prefix)
	n, err := snapshot.ParseName(rest)
	return n, ok && err == nil
}
