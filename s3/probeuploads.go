package s3

import (
	"context"
	"errors"
	"fmt"
)

func (p *probe) uploads(ctx context.Context) error {
	return p.call(ctx, "s3:ListBucketMultipartUploads", func(ctx context.Context) error {
		_, err := p.core.ListMultipartUploads(ctx, p.cfg.Bucket, p.key, "", "", "/", 1)
		return err
	})
}

// noUpload is an ID that no server uses.
const noUpload = "none"

// aborts first tries to abort an upload that does not exist, so that nothing is left if the permission is missing. Then it aborts
// a real one, because a server may look for the upload before it checks the permission.
func (p *probe) aborts(ctx context.Context, stored bool) Permission {
	line := Permission{Action: "s3:AbortMultipartUpload", Purpose: "remove incomplete uploads", Optional: true}
	if !stored {
		line.Err = errNotTried
		return line
	}
	if line.Err = p.end(ctx, noUpload); errors.Is(line.Err, ErrPermission) {
		return line
	}
	id, err := p.begin(ctx)
	if err != nil {
		return Permission{Action: "s3:PutObject", Purpose: "store snapshots in parts", Err: err}
	}
	// Even if the caller has given up: the upload must not stay.
	if line.Err = p.end(context.WithoutCancel(ctx), id); line.Err != nil {
		line.Err = fmt.Errorf("%w; an empty upload of %s is left: a lifecycle rule AbortIncompleteMultipartUpload removes it", line.Err, p.key)
	}
	return line
}

func (p *probe) begin(ctx context.Context) (id string, err error) {
	err = p.call(ctx, "s3:PutObject", func(ctx context.Context) (err error) {
		id, err = p.core.NewMultipartUpload(ctx, p.cfg.Bucket, p.key, p.Bucket.put)
		return err
	})
	return id, err
}

func (p *probe) end(ctx context.Context, id string) error {
	return p.call(ctx, "s3:AbortMultipartUpload", func(ctx context.Context) error {
		err := p.core.AbortMultipartUpload(ctx, p.cfg.Bucket, p.key, id)
		if gone(err) {
			return nil
		}
		return err
	})
}
