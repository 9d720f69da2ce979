package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// Get returns the snapshot's bytes and their number. A missing snapshot wraps snapshot.ErrNotFound. After a broken connection the
// transfer resumes where it broke, as long as the object is the same; a body that ends early is an error. ctx must last until the
// caller has closed the reader. If a person must choose between versions, the error wraps ErrConfig.
func (b *Bucket) Get(ctx context.Context, n snapshot.Name) (io.ReadCloser, int64, error) {
	if err := b.undecided(ctx, n); err != nil {
		return nil, 0, err
	}
	return b.get(ctx, b.readable(n))
}

func (b *Bucket) get(ctx context.Context, o object) (io.ReadCloser, int64, error) {
	r := &getReader{ctx: ctx, bucket: b, version: o.version, op: o.reading("get")}
	r.op.long = true
	if err := r.open(); err != nil {
		return nil, 0, err
	}
	return r, r.size, nil
}

type getReader struct {
	ctx     context.Context //nolint:containedctx // of the Get that it continues
	bucket  *Bucket
	op      op
	version string
	body    io.ReadCloser // nil between two connections
	etag    string
	size    int64
	offset  int64
	tries   int // in a row, without a byte
}

func (r *getReader) open() error {
	b := r.bucket
	return b.do(r.ctx, r.op, func(ctx context.Context) error {
		opts := minio.GetObjectOptions{VersionID: r.version}
		if r.offset > 0 {
			if err := errors.Join(opts.SetRange(r.offset, 0), opts.SetMatchETag(r.etag)); err != nil {
				return err
			}
		}
		body, info, _, err := b.core.GetObject(ctx, b.cfg.Bucket, r.op.key, opts)
		if err != nil {
			return err
		}
		if r.offset == 0 {
			r.etag, r.size = info.ETag, info.Size
		}
		if info.Size < 0 || r.offset+info.Size != r.size {
			return errors.Join(fmt.Errorf("%w: the server offers %d bytes from byte %d, of %d", ErrConnection, info.Size, r.offset, r.size), body.Close())
		}
		r.body = body
		return nil
	})
}

// Read never returns io.EOF before the last byte.
func (r *getReader) Read(p []byte) (int, error) {
	for {
		if r.offset == r.size {
			return 0, io.EOF
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.offset)])
		r.offset += int64(n)
		if n > 0 {
			r.tries = 0
		}
		if err == nil || r.offset == r.size {
			return n, nil
		}
		if err := r.again(err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// again decides whether to continue after a failed read.
func (r *getReader) again(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the connection ended early
	}
	err = r.bucket.explain(r.ctx, r.op, err)
	_ = r.body.Close() // the read's error matters, not this one
	r.body = nil
	if r.tries++; r.tries >= attempts || !transient(err) || !r.bucket.pause(r.ctx, r.tries) {
		return err
	}
	return nil
}

// Close ends the transfer.
func (r *getReader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// Tail returns the last snapshot.TailSize bytes, or all if there are fewer, and the total size, with one request.
func (b *Bucket) Tail(ctx context.Context, n snapshot.Name) (tail []byte, size int64, err error) {
	return b.tailOf(ctx, b.readable(n))
}

func (b *Bucket) tailOf(ctx context.Context, o object) (tail []byte, size int64, err error) {
	err = b.do(ctx, o.reading("read the end of"), func(ctx context.Context) (err error) {
		tail, size, err = b.tail(ctx, o)
		return err
	})
	return tail, size, err
}

func (b *Bucket) tail(ctx context.Context, o object) ([]byte, int64, error) {
	opts := minio.GetObjectOptions{VersionID: o.version}
	if err := opts.SetRange(0, -snapshot.TailSize); err != nil {
		return nil, 0, err
	}
	body, info, header, err := b.core.GetObject(ctx, b.cfg.Bucket, o.key, opts)
	if res, ok := response(err); ok && res.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		// An empty object has no last bytes; some servers say the same about an object that is shorter than the range.
		body, info, header, err = b.core.GetObject(ctx, b.cfg.Bucket, o.key, minio.GetObjectOptions{VersionID: o.version})
	}
	if err != nil {
		return nil, 0, err
	}
	defer body.Close()
	size := info.Size
	if text := header.Get("Content-Range"); text != "" {
		_, total, _ := strings.Cut(text, "/")
		if size, err = strconv.ParseInt(total, 10, 64); err != nil {
			return nil, 0, notS3("it has the range %.80q", text)
		}
	}
	if info.Size < 0 || info.Size != min(size, snapshot.TailSize) {
		return nil, 0, notS3("it has %d bytes of %d, not the last %d as requested", info.Size, size, snapshot.TailSize)
	}
	tail := make([]byte, info.Size)
	if _, err = io.ReadFull(body, tail); err != nil {
		return nil, 0, err
	}
	return tail, size, nil
}
