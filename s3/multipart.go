package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

// abortTimeout limits the cleanup after a failure, which continues after the caller's context has ended.
const abortTimeout = 10 * time.Second

// split cuts size bytes into pieces of partSize, or of more complete MiB if maxParts of them are not enough.
func split(size int64) []piece {
	each := int64(partSize)
	if least := (size + maxParts - 1) / maxParts; least > each {
		each = (least + 1<<20 - 1) >> 20 << 20
	}
	pieces := make([]piece, 0, (size+each-1)/each)
	for offset := int64(0); offset < size; offset += each {
		pieces = append(pieces, piece{number: len(pieces) + 1, offset: offset, size: min(each, size-offset)})
	}
	return pieces
}

func (u *upload) multipart(ctx context.Context) error {
	pieces := split(u.size)
	if !u.replace {
		if done, err := u.taken(ctx, pieces); done || err != nil {
			return err
		}
	}
	id, err := u.begin(ctx)
	if err != nil {
		return err
	}
	err = u.sendAll(ctx, id, pieces)
	// A server that reports early that the upload does not exist closes the connection while parts are still being sent.
	if gone(err) || errors.Is(err, ErrConnection) {
		if settled := u.settle(ctx, pieces); settled == nil || gone(err) {
			u.abort(ctx, u.key, id) // in case it still exists
			return settled
		}
	}
	if err == nil {
		err = u.verifyRead(pieces)
	}
	if err == nil {
		err = u.unlessTaken(ctx, pieces, u.complete(ctx, id, pieces))
	}
	if err != nil {
		u.abort(ctx, u.key, id)
		return err
	}
	if err := u.verify(ctx, pieces); err != nil {
		return err
	}
	u.clear(ctx)
	return nil
}

func (u *upload) begin(ctx context.Context) (id string, err error) {
	var extra map[string]string
	if !u.md5 {
		extra = map[string]string{headerAlgorithm: minio.ChecksumCRC32C.String(), headerKind: wholeObject}
	}
	o := u.op()
	o.long = false
	err = u.do(ctx, o, func(ctx context.Context) (err error) {
		id, err = u.core.NewMultipartUpload(ctx, u.cfg.Bucket, u.key, u.options(extra))
		return err
	})
	return id, err
}

// sendAll returns the first error; the others are consequences of it.
func (u *upload) sendAll(ctx context.Context, id string, pieces []piece) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadThreads)
	for i := range pieces {
		group.Go(func() error { return u.sendPart(ctx, id, &pieces[i]) })
	}
	return group.Wait()
}

func (u *upload) sendPart(ctx context.Context, id string, p *piece) error {
	if ctx.Err() != nil {
		return fmt.Errorf("put %s: %w", u.name, context.Cause(ctx))
	}
	if err := p.digest(u.r, u.mode(), make([]byte, digestBuffer)); err != nil {
		return fmt.Errorf("put %s: %w", u.name, err)
	}
	contentMD5, header := u.checksum(p)
	opts := minio.PutObjectPartOptions{DisableContentSha256: true, Md5Base64: contentMD5, CustomHeader: http.Header{}}
	for key, value := range header {
		opts.CustomHeader.Set(key, value)
	}
	return u.send(ctx, p, func(ctx context.Context, body io.Reader) error {
		part, err := u.core.PutObjectPart(ctx, u.cfg.Bucket, u.key, id, p.number, body, p.size, opts)
		p.etag = part.ETag
		return err
	})
}

// complete creates the object from the parts. The answer may be lost after the work is done, or another process may have stored
// the same snapshot and aborted this upload. In both cases verify decides.
func (u *upload) complete(ctx context.Context, id string, pieces []piece) error {
	parts := make([]minio.CompletePart, len(pieces))
	for i, p := range pieces {
		_, header := u.checksum(&p)
		parts[i] = minio.CompletePart{PartNumber: p.number, ETag: p.etag, ChecksumCRC32C: header[headerCRC32C]}
	}
	var opts minio.PutObjectOptions
	if !u.md5 {
		whole, err := wholeCRC(pieces)
		if err != nil {
			return fmt.Errorf("put %s: %w", u.name, err)
		}
		opts.UserMetadata = map[string]string{headerCRC32C: whole, headerKind: wholeObject}
	}
	u.condition(&opts)
	// A long call, because Amazon may take minutes for it and sends blanks meanwhile.
	return u.do(ctx, u.op(), func(ctx context.Context) error {
		info, err := u.core.CompleteMultipartUpload(ctx, u.cfg.Bucket, u.key, id, parts, opts)
		u.version = info.VersionID
		return unlessGone(err)
	})
}

func gone(err error) bool {
	res, ok := response(err)
	return ok && res.Code == minio.NoSuchUpload
}

func unlessGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// abort frees the parts that the server stores. If it fails, Sweep or the bucket's lifecycle rule does it.
func (b *Bucket) abort(ctx context.Context, key, id string) {
	if b.cfg.AppendOnly {
		return // the lifecycle rule does it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_ = b.core.AbortMultipartUpload(ctx, b.cfg.Bucket, key, id) // the upload's own error is reported
}

// clear aborts what earlier tries for the same snapshot left, now that it is stored. Sweep is not enough because MinIO lists
// uploads only for a complete key, not for a prefix. The permission for it is optional.
func (u *upload) clear(ctx context.Context) {
	if u.cfg.AppendOnly {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, u.cfg.Timeout)
	defer cancel()
	_ = u.eachUpload(ctx, u.key, func(m minio.ObjectMultipartInfo) error {
		if m.Key == u.key {
			u.abort(ctx, m.Key, m.UploadID)
		}
		return nil
	})
}
