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

// noUpload is an id that no server gives.
const noUpload = "none"

// aborts tries to end an upload that does not exist, so that where the permission is missing nothing is left behind, and then
// a real one, for a server may look for the upload before the permission.
func (p *probe) aborts(ctx context.Context, stored bool) Permission {
	line := Permission{Action: "s3:AbortMultipartUpload", Purpose: "clear away broken uploads", Optional: true}
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
	// Also when the caller has given up meanwhile: the upload must not stay.
	if line.Err = p.end(context.WithoutCancel(ctx), id); line.Err != nil {
		line.Err = fmt.Errorf("%w; an empty upload of %s stays behind: a lifecycle rule AbortIncompleteMultipartUpload clears it away", line.Err, p.key)
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
