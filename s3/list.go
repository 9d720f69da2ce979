package s3

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// List returns the folder's snapshots, newest first, each once: a name that the server lists twice would count twice in the policy. It
// skips deeper folders and keys without a valid name.
func (b *Bucket) List(ctx context.Context) ([]snapshot.Entry, error) {
	if b.cfg.Versions {
		return b.listVersions(ctx)
	}
	var entries []snapshot.Entry
	err := b.each(ctx, func(o minio.ObjectInfo) bool {
		if name, ok := b.nameOf(o.Key); ok {
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
	slices.SortFunc(entries, snapshot.NewestFirst)
	return slices.CompactFunc(entries, func(a, b snapshot.Entry) bool { return a.Name == b.Name }), nil
}

// each visits what is in the folder until visit returns false. Before each try, it calls restart.
func (b *Bucket) each(ctx context.Context, visit func(minio.ObjectInfo) bool, restart func()) error {
	return b.eachUnder(ctx, b.prefix, visit, restart)
}

// eachUnder does so with the keys that begin with prefix.
func (b *Bucket) eachUnder(ctx context.Context, prefix string, visit func(minio.ObjectInfo) bool, restart func()) error {
	return b.do(ctx, op{doing: "list", action: "s3:ListBucket", long: true}, func(ctx context.Context) error {
		restart()
		err := b.pages(ctx, minio.ListObjectsOptions{Prefix: prefix}, visit)
		if res, ok := response(err); ok && res.Code == minio.NotImplemented { // some old servers know only the first version of this call
			restart()
			err = b.pages(ctx, minio.ListObjectsOptions{Prefix: prefix, UseV1: true}, visit)
		}
		return err
	})
}

// pages gives each page its own deadline, because each page is a separate call.
func (b *Bucket) pages(ctx context.Context, options minio.ListObjectsOptions, visit func(minio.ObjectInfo) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	page := time.AfterFunc(b.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer page.Stop()
	for o := range b.core.ListObjectsIter(ctx, b.cfg.Bucket, options) {
		if o.Err != nil && ctx.Err() == nil {
			return o.Err
		}
		if ctx.Err() != nil {
			break
		}
		page.Reset(b.cfg.Timeout)
		if !visit(o) {
			return nil
		}
	}
	return context.Cause(ctx) // the iterator may end without an error then
}

func (b *Bucket) nameOf(key string) (snapshot.Name, bool) {
	rest, ok := strings.CutPrefix(key, b.prefix)
	n, err := snapshot.ParseName(rest)
	return n, ok && err == nil
}
