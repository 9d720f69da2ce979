package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrStalled marks a stream that was aborted because no data came for too long.
var ErrStalled = errors.New("no progress")

// Streamer is a member that can send a snapshot.
type Streamer interface {
	// Source describes the member as it was when the connection was made; after Stream, with the keys that it had when the stream was
	// opened.
	Source() Source
	// Stream writes the database and its digest to w as they arrive. Before the first write it calls size with the length of the
	// whole stream (0: unknown). It returns when everything is written, ctx ends, or w fails.
	Stream(ctx context.Context, w io.Writer, size func(int64)) error
}

// TakeOptions define the name and the limits of a snapshot.
type TakeOptions struct {
	Set, Node   string
	ToolVersion string
	LocalOnly   bool          // goes into the manifest
	MinFree     int64         // bytes that must stay free on the disk
	Stall       time.Duration // longest wait for the next byte
	// Named, if set, makes the name instead of Set and Node. A zip's name makes the archive a zip.
	Named func(start time.Time) (Name, error)
	// Replace allows the snapshot to take the place of an existing one of the same name, which stays until the new one is complete.
	Replace bool
	// StateFile, if set, returns RKE's state file for a zip; nil: there is none. It runs during the stream; the archive is completed when it
	// has returned.
	StateFile func(context.Context) []byte
	// Slow, if set, returns a writer to w that waits, so that the stream is read at a certain rate. A wait must be far shorter than Stall.
	Slow func(ctx context.Context, w io.Writer) io.Writer
	// Progress, if set, is called after each piece: bytes so far, and in total (0: unknown). It must not block.
	Progress func(done, total int64)
}

// Taken is a snapshot that Take has stored in the directory.
type Taken struct {
	Entry
	Manifest Manifest
	Stream   time.Duration // from opening the stream to its last byte, with compression and writing
	Sync     time.Duration // until file and name were safe on the disk
	Latency  Latency       // of the member before and during the stream, if that was measured
}

// Latency is how fast the member answered light requests: three of four answers took no longer. 0: not known.
type Latency struct {
	Before, During time.Duration // the stream
}

// Take streams one snapshot of the member into dir. It returns when the archive is complete, compared with etcd's digest and safe
// on the disk under its final name. After an error nothing is left of it, with one exception: if syncing the directory fails
// after the rename, the snapshot is complete, but a power loss could remove it. Errors wrap ErrStalled, ErrLowSpace, ErrExists or
// ErrName, or come from the member or the disk.
func Take(ctx context.Context, src Streamer, dir *Dir, o TakeOptions) (Taken, error) {
	start := time.Now()
	name, err := o.name(start)
	if err != nil {
		return Taken{}, err
	}
	guard := &spaceGuard{dir: dir, minFree: o.MinFree}
	if err := guard.check(0); err != nil {
		return Taken{}, err
	}
	part, err := dir.create(ctx, name, o.Replace)
	if err != nil {
		return Taken{}, err
	}
	guard.w = part
	if o.Slow != nil {
		part.writeSteadily()
	}
	created := start.UTC().Truncate(time.Second)
	if name.File == "" { // a name of ours says the same, also where it is not that of now
		created = name.Time
	}
	m := Manifest{Name: name.String(), CreatedAt: created, Node: o.Node, Source: src.Source(), ToolVersion: o.ToolVersion, LocalOnly: o.LocalOnly}
	m, err = writeArchive(ctx, src, guard, name, m, o)
	if err != nil {
		return Taken{}, errors.Join(err, part.Abort())
	}
	streamed := time.Now()
	if err := part.Commit(context.WithoutCancel(ctx)); err != nil { // it is complete, so a shutdown does not discard it
		return Taken{}, err
	}
	return Taken{
		Entry: Entry{Name: name, Size: guard.written}, Manifest: m,
		Stream: streamed.Sub(start), Sync: time.Since(streamed),
	}, nil
}

func (o TakeOptions) name(start time.Time) (Name, error) {
	if o.Named != nil {
		return o.Named(start)
	}
	return NewName(o.Set, o.Node, start)
}

// stateFile starts to get the state file, and returns the function that waits for it.
func (o TakeOptions) stateFile(ctx context.Context) (wait func() []byte) {
	if o.StateFile == nil {
		return func() []byte { return nil }
	}
	got := make(chan []byte, 1)
	go func() { got <- o.StateFile(ctx) }()
	return func() []byte { return <-got }
}

// writeArchive streams into w as an archive.
func writeArchive(ctx context.Context, src Streamer, w io.Writer, name Name, m Manifest, o TakeOptions) (Manifest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A message without bytes is not progress: etcd sends these forever when reading its own disk fails.
	stall := time.AfterFunc(o.Stall, func() { cancel(fmt.Errorf("%w for %s", ErrStalled, o.Stall)) })
	defer stall.Stop()

	archive, err := newWriterFor(w, name, m.CreatedAt)
	if err != nil {
		return m, err
	}
	stateFile := o.stateFile(ctx)
	var done, total int64
	var to io.Writer = writerFunc(func(p []byte) (int, error) {
		n, err := archive.Write(p)
		if n > 0 {
			stall.Reset(o.Stall)
		}
		done += int64(n)
		if o.Progress != nil {
			o.Progress(done, total)
		}
		return n, err
	})
	if o.Slow != nil {
		to = o.Slow(ctx, to)
	}
	if err := src.Stream(ctx, to, func(size int64) { total = size }); err != nil {
		archive.Abort()
		if cause := context.Cause(ctx); cause != nil {
			err = cause // the cause, not what the connection made of it
		}
		cancel(nil)
		stateFile() // leaves nothing running
		return m, fmt.Errorf("stream snapshot after %d bytes: %w", done, err)
	}
	stall.Stop()
	m.Source = src.Source()
	archive.SetStateFile(stateFile())
	return archive.Finish(m)
}

func newWriterFor(w io.Writer, n Name, taken time.Time) (*Writer, error) {
	if n.Zip() {
		return NewZipWriter(w, n, taken)
	}
	return NewWriter(w)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
