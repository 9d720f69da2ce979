package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Pauses before a transfer is resumed.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Get returns the snapshot's bytes. After a broken connection it resumes where the connection broke, even if the peer was
// restarted, as long as it offers the same bytes (ErrChanged). If no bytes come for Stall, it returns snapshot.ErrStalled. io.EOF
// means that r.Size bytes came and match r.SHA256; other bytes wrap snapshot.ErrDamaged. ctx must last until the caller has
// closed it.
func (c *Client) Get(ctx context.Context, r Remote) (io.ReadCloser, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	t := &transfer{ctx: ctx, client: c, remote: r, tag: etag(r.SHA256), sum: sha256.New()}
	if err := t.open(ctx, c.Stall); err != nil {
		return nil, t.explain(err)
	}
	return t, nil
}

type transfer struct {
	ctx    context.Context // of the Get call
	client *Client
	remote Remote
	tag    string // of the bytes, as ETag or Last-Modified; "" before the first answer to File
	sum    hash.Hash
	offset int64

	body  io.ReadCloser // nil between two connections
	watch *watch        // of body
}

// watch ends a request that makes no progress. It pauses while the caller does something else.
type watch struct {
	*time.Timer
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
}

func (t *transfer) explain(err error) error {
	return t.client.explain(t.ctx, fmt.Sprintf("fetch %s after %d of %d bytes", t.remote.Name, t.offset, t.remote.Size), err)
}

// open requests the bytes from offset on.
func (t *transfer) open(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{ctx: ctx, cancel: cancel, Timer: time.AfterFunc(patience, func() { cancel(silent(patience)) })}
	header := http.Header{}
	if t.offset > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(t.offset, 10)+"-")
		header.Set("If-Range", t.tag)
	}
	res, err := t.client.get(ctx, "/"+url.PathEscape(t.remote.Name), header)
	w.Stop()
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return err
	}
	if err := t.accept(ctx, res); err != nil {
		cancel(nil)
		return errors.Join(err, res.Body.Close())
	}
	t.body, t.watch = res.Body, w
	return nil
}

// accept checks an answer.
func (t *transfer) accept(ctx context.Context, res *http.Response) error {
	if t.remote.Size == 0 {
		return t.begin(ctx, res)
	}
	return t.fits(res)
}

// fits checks that an answer continues with the same bytes.
func (t *transfer) fits(res *http.Response) error {
	same := tagOf(res) == t.tag
	want := http.StatusOK
	if t.offset > 0 {
		want = http.StatusPartialContent
	}
	switch {
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusOK && !same:
		return fmt.Errorf("%w: ask again", ErrChanged)
	case res.StatusCode != want || !same || res.ContentLength != t.remote.Size-t.offset:
		return fmt.Errorf("%w: it answers with HTTP status %d and %d bytes", ErrNoPeer, res.StatusCode, res.ContentLength)
	case t.offset > 0 && res.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", t.offset, t.remote.Size-1, t.remote.Size):
		return fmt.Errorf("%w: it answers with the range %q", ErrNoPeer, res.Header.Get("Content-Range"))
	}
	return nil
}

// Read never returns io.EOF before the last byte. If the peer is silent on one connection, it tries another before Stall is over.
func (t *transfer) Read(p []byte) (int, error) {
	if t.offset == t.remote.Size {
		return 0, t.compare()
	}
	if len(p) == 0 {
		return 0, nil
	}
	until := time.Now().Add(t.client.Stall)
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		short := time.Until(until) < t.client.Stall/2
		n, err := t.try(p, until)
		if n > 0 {
			return n, nil // the next Read, without a body, gets the error again
		}
		if short && last != nil && errors.Is(err, snapshot.ErrStalled) {
			err = last // silence in the little time that was left shows less than the error before
		}
		last = err
		if err = t.hopeless(err, until); err != nil {
			return 0, t.explain(err)
		}
		select {
		case <-t.ctx.Done():
		case <-time.After(min(pause, time.Until(until))):
		}
	}
}

// try reads once, on a new connection if there is none.
func (t *transfer) try(p []byte, until time.Time) (int, error) {
	patience := max(min(t.client.Stall/2, time.Until(until)), time.Millisecond)
	if t.body == nil {
		if err := t.open(t.ctx, patience); err != nil {
			return 0, err
		}
	}
	t.watch.Reset(patience)
	n, err := t.body.Read(p[:min(int64(len(p)), t.remote.Size-t.offset)])
	t.watch.Stop()
	err = causeOf(t.watch.ctx, err)
	t.sum.Write(p[:n])
	t.offset += int64(n)
	if err != nil {
		_ = t.Close() // the read's error matters, not this one
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// hopeless returns the error that ends the transfer; nil if another try may help.
func (t *transfer) hopeless(err error, until time.Time) error {
	switch {
	case t.ctx.Err() != nil, kindOf(err) != nil:
		return err
	case t.remote.SHA256 == "" && (t.tag == "" || errors.Is(err, syscall.ECONNREFUSED)): // it can't be resumed, or serve has exited
		return err
	case err == nil, time.Now().Before(until):
		return nil
	case errors.Is(err, snapshot.ErrStalled):
		return silent(t.client.Stall)
	}
	return fmt.Errorf("%w: %w", silent(t.client.Stall), err)
}

// compare returns io.EOF for exactly the offered bytes.
func (t *transfer) compare() error {
	if t.remote.SHA256 == "" { // of File
		return io.EOF
	}
	if got := hex.EncodeToString(t.sum.Sum(nil)); got != t.remote.SHA256 {
		return fmt.Errorf("peer %s: %s: %w: SHA-256 of the received bytes is %s, not %s as announced", t.client.peer, t.remote.Name, snapshot.ErrDamaged, got, t.remote.SHA256)
	}
	return io.EOF
}

// Close ends the transfer.
func (t *transfer) Close() error {
	if t.body == nil {
		return nil
	}
	t.watch.Stop()
	err := t.body.Close()
	t.watch.cancel(nil)
	t.body = nil
	return err
}
