package command

import (
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// remote is a snapshot that was found in the bucket, which is the caller's to close.
type remote struct {
	bucket *s3.Bucket
	entry  snapshot.Entry
}

// findRemote finds the snapshot that the first argument names in the bucket.
func findRemote(c *cli.Context) (*remote, error) {
	b, err := openBucket(c)
	if err != nil {
		return nil, err
	}
	entries, err := b.List(c.Context)
	if err != nil {
		b.Close()
		return nil, err
	}
	entry, err := snapshot.Listing{Snapshots: entries}.Find(reference(c), time.Now())
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("look into %s: %w", b, err)
	}
	return &remote{bucket: b, entry: entry}, nil
}

// read hands its bytes to keep, behind a bar.
func (r *remote) read(c *cli.Context, e env, keep func(body io.Reader, bytes int64, progress func(done, total int64)) error) error {
	body, bytes, err := r.bucket.Get(c.Context, r.entry.Name)
	if err != nil {
		return err
	}
	defer body.Close()
	bar := newProgress(e.stderr, "downloading")
	err = keep(body, bytes, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("download %s from %s: %w", r.entry.Name, r.bucket, err)
	}
	return nil
}
