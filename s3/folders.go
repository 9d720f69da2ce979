package s3

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// Place returns where the snapshots are, for people: s3://BUCKET/FOLDER.
func (c Config) Place() string {
	return strings.TrimSuffix("s3://"+c.Bucket+"/"+strings.Trim(c.Folder, "/"), "/")
}

const (
	maxFolderKeys = 1000 // of one listing, which is one page
	maxFolders    = 100
)

// Folders returns other folders of the bucket, for somebody who finds nothing in this one: those inside it, otherwise those next to
// it, otherwise those at the top. "" is the top itself, if it has snapshots. It looks at the first page of each listing only. It
// needs s3:ListBucket outside the folder; ErrPermission says that the keys do not have it.
func (b *Bucket) Folders(ctx context.Context) ([]string, error) {
	parent := b.prefix[:strings.LastIndex(strings.TrimSuffix(b.prefix, "/"), "/")+1]
	var failed error
	for _, prefix := range slices.Compact([]string{b.prefix, parent, ""}) {
		var found []string
		err := b.do(ctx, op{doing: "list folders", action: "s3:ListBucket"}, func(ctx context.Context) (err error) {
			found, err = b.folders(ctx, prefix)
			return err
		})
		found = slices.DeleteFunc(found, func(folder string) bool { return folder == strings.TrimSuffix(b.prefix, "/") })
		if len(found) > 0 {
			return found, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func (b *Bucket) folders(ctx context.Context, prefix string) (found []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own := false
	keys := 0
	for o := range b.core.ListObjectsIter(ctx, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: prefix, MaxKeys: maxFolderKeys}) {
		if o.Err != nil {
			return nil, o.Err
		}
		rest, ok := strings.CutPrefix(o.Key, prefix)
		switch folder, isFolder := strings.CutSuffix(rest, "/"); {
		case !ok || rest == "", rest == segmentFolder:
		case isFolder:
			found = append(found, prefix+folder)
		case !own && isSnapshot(rest):
			own = true
			found = append(found, strings.TrimSuffix(prefix, "/"))
		}
		if keys++; keys >= maxFolderKeys || len(found) >= maxFolders {
			break
		}
	}
	slices.Sort(found)
	return found, context.Cause(ctx)
}

func isSnapshot(key string) bool {
	_, err := snapshot.ParseName(key)
	return err == nil
}
