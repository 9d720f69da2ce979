package peer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The form of rke-tools: one file under its name, without an offer and without a digest.

// File is what ServeFile serves. Its bytes must not change while they are served.
type File struct {
	Content io.ReaderAt // read by several goroutines
	Size    int64       // bytes
	Digest  string      // hex; other bytes have another one
}

// pending is a file that may not be ready yet.
type pending struct {
	File
	ready   chan struct{}   // closed as soon as File is set
	stopped <-chan struct{} // closed when the server stops
}

// ServeFile is Serve in the form of rke-tools: GET /<name>, and nothing else. It accepts connections immediately; requests wait until open
// has returned the file, whose error ends ServeFile. Nobody reads the file after ServeFile has returned.
func ServeFile(ctx context.Context, l net.Listener, id Identity, name string, open func(context.Context) (File, error), observe func(Event)) error {
	if err := id.CheckServer(); err != nil {
		return errors.Join(err, l.Close())
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	s := &server{Offer: Offer{Name: name}, stall: stall, grace: grace, observe: observe}
	s.file = &pending{ready: make(chan struct{}), stopped: serving.Done()}
	var opening sync.WaitGroup
	var failed error
	opening.Go(func() {
		if s.file.File, failed = open(serving); failed != nil {
			stop()
			return
		}
		close(s.file.ready)
	})
	err := s.serve(serving, l, id)
	stop()
	opening.Wait()
	if err == nil && ctx.Err() == nil {
		err = failed
	}
	return err
}

// routeFile compares the decoded path: a name may contain characters that clients encode or not, such as the colons of a time.
func (s *server) routeFile(w *renewing, r *http.Request) {
	if r.URL.Path != "/"+s.Name {
		http.Error(w, "nothing here", http.StatusNotFound)
		return
	}
	if !reading(w, r) {
		return
	}
	select {
	case <-s.file.ready:
		w.renew()
		s.content(w, r, s.file.Content, s.file.Size, etag(s.file.Digest))
	case <-s.file.stopped:
		http.Error(w, "serve exits", http.StatusServiceUnavailable)
	case <-r.Context().Done():
		http.Error(w, "the client has left", http.StatusServiceUnavailable) // without a status it would be an empty file
		w.err = context.Cause(r.Context())
	}
}

// File fetches a file by its name from ServeFile or from the serve of rke-tools, and returns its size. The first byte may take as long as
// wait, because the peer may still be unpacking. Nothing but the size proves the bytes. A broken connection is resumed as in Get if the
// peer can do that and still runs. ctx must last until the caller has closed the file.
func (c *Client) File(ctx context.Context, name string, wait time.Duration) (io.ReadCloser, int64, error) {
	if err := checkName(name); err != nil {
		return nil, 0, err
	}
	t := &transfer{ctx: ctx, client: c, remote: Remote{Name: name}, sum: sha256.New()}
	if err := t.open(ctx, wait); err != nil {
		return nil, 0, c.explain(ctx, "fetch "+name, err)
	}
	return t, t.remote.Size, nil
}

// begin learns from the first answer what a file is.
func (t *transfer) begin(ctx context.Context, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		hint := ""
		if version := t.client.etcdVersion(ctx); version != "" {
			hint = fmt.Sprintf(": an etcd %s answers there: stop it and start serve", version)
		} else if res.StatusCode == http.StatusNotFound {
			hint = ": has it another name there?"
		}
		return fmt.Errorf("%w: HTTP status %d%s", ErrNotServed, res.StatusCode, hint)
	}
	if res.ContentLength <= 0 {
		return fmt.Errorf("%w: the file is empty, or the answer does not say how long it is", ErrNotServed)
	}
	t.remote.Size, t.tag = res.ContentLength, tagOf(res)
	return nil
}

// tagOf is what shows that a later answer has the same bytes; "": nothing.
func tagOf(res *http.Response) string {
	if tag := res.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return res.Header.Get("Last-Modified")
}
