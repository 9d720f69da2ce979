package s3

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// List returns the folder's snapshots, newest first, each once: a name that the server lists twice would count twice in the policy. It
// skips deeper folders and keys without a valid name. With prefixes, it returns those whose names begin with one of them, and what else
// is in the folder costs no request: unless the keys may list the folder only as a whole.
func (b *Bucket) List(ctx context.Context, prefixes ...string) ([]snapshot.Entry, error) {
	if b.cfg.Versions {
		return b.listVersions(ctx, func(n snapshot.Name) bool { return begins(n, prefixes) })
	}
	if len(prefixes) == 0 {
		return b.listUnder(ctx, "")
	}
	var all []snapshot.Entry
	for _, prefix := range prefixes {
		entries, err := b.listUnder(ctx, prefix)
		if errors.Is(err, ErrPermission) {
			whole, wholeErr := b.listUnder(ctx, "")
			if wholeErr != nil {
				return nil, err
			}
			return slices.DeleteFunc(whole, func(e snapshot.Entry) bool { return !begins(e.Name, prefixes) }), nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return inOrder(all), nil
}

// begins reports whether a name begins with one of the prefixes, or there are none.
func begins(n snapshot.Name, prefixes []string) bool {
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(n.String(), p) })
}

func inOrder(entries []snapshot.Entry) []snapshot.Entry {
	slices.SortFunc(entries, snapshot.NewestFirst)
	return slices.CompactFunc(entries, func(a, b snapshot.Entry) bool { return a.Name == b.Name })
}

// listUnder lists the snapshots whose names begin with prefix.
func (b *Bucket) listUnder(ctx context.Context, prefix string) ([]snapshot.Entry, error) {
	var entries []snapshot.Entry
	err := b.eachUnder(ctx, b.prefix+prefix, func(o minio.ObjectInfo) bool {
		if name, ok := b.nameOf(o.Key); ok {
			entries = append(entries, snapshot.Entry{Name: name, Size: o.Size, Modified: o.LastModified})
		}
		return len(entries) <= b.maxEntries
	}, func() { entries = nil })
	if err != nil {
		return nil, err
	}
	if len(entries) > b.maxEntries {
		return nil, b.explain(ctx, listing(), b.tooMany())
	}
	return inOrder(entries), nil
}

func (b *Bucket) tooMany() error { return notS3("it lists more than %d snapshots", b.maxEntries) }

// eachUnder visits the keys that begin with prefix until visit returns false. Before each try, it calls restart.
func (b *Bucket) eachUnder(ctx context.Context, prefix string, visit func(minio.ObjectInfo) bool, restart func()) error {
	return b.do(ctx, listing(), func(ctx context.Context) error {
		return b.eitherVersion(minio.ListObjectsOptions{Prefix: prefix}, restart, func(options minio.ListObjectsOptions) error {
			return b.pages(ctx, options, visit)
		})
	})
}

// listing is a listing of any length.
func listing() op { return op{doing: "list", action: "s3:ListBucket", long: true} }

// eitherVersion lists with the second version of the call, or the first one: some old servers know no other.
func (b *Bucket) eitherVersion(options minio.ListObjectsOptions, restart func(), list func(minio.ListObjectsOptions) error) error {
	restart()
	err := list(options)
	if res, ok := response(err); ok && res.Code == minio.NotImplemented {
		restart()
		options.UseV1 = true
		err = list(options)
	}
	return err
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
