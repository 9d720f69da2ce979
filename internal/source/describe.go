package source

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// Read is what a snapshot says of itself, before its data was read, or why that could not be read.
type Read struct {
	snapshot.Entry
	Bytes     int64             // the size of the snapshot itself if it was reached: some servers list none or another one
	Manifest  snapshot.Manifest // zero: it has none, as what other programs wrote
	Form      input.Form        // "": not known
	RawSize   int64             // of the database and its digest, bytes; 0: not known
	StateFile bool              // RKE's state file is in it
	Err       error
}

// HasManifest reports whether it is an archive of ours whose manifest was read.
func (r Read) HasManifest() bool { return r.Manifest.Format != "" }

// Manifests reads those of some snapshots, several at a time, and returns them in the same order. It is no error to have none.
func (l Listing) Manifests(ctx context.Context, of []snapshot.Entry) []Read {
	out := make([]Read, len(of))
	var g errgroup.Group
	g.SetLimit(manifestReads)
	for i, e := range of {
		g.Go(func() error {
			out[i] = l.describe(ctx, e)
			return nil
		})
	}
	_ = g.Wait() // its goroutines return no error
	return out
}

// Manifest reads that of one snapshot. A file of another program wraps snapshot.ErrNoManifest. Errors name it and the place.
func (l Listing) Manifest(ctx context.Context, n snapshot.Name) (snapshot.Manifest, error) {
	r := l.describe(ctx, snapshot.Entry{Name: n})
	switch {
	case r.Err == nil && r.HasManifest():
		return r.Manifest, nil
	case r.Err == nil:
		r.Err = snapshot.ErrNoManifest
	case l.local != nil: // it has the path
		return r.Manifest, r.Err
	}
	return r.Manifest, fmt.Errorf("%s in %s: %w", n, l.Where, r.Err)
}

// Origins reads of which clusters some snapshots are, in the same order. Those whose manifests can't be read are missing.
func (l Listing) Origins(ctx context.Context, of []snapshot.Entry) []snapshot.Origin {
	var out []snapshot.Origin
	for _, r := range l.Manifests(ctx, of) {
		if m := r.Manifest; r.Err == nil {
			out = append(out, snapshot.Origin{Cluster: m.ClusterID, Predecessors: m.Predecessors, Name: r.Name})
		}
	}
	return out
}

// describeFile reads the manifest of a file. If it has none, the beginnings of its members show what is in it.
func describeFile(dir *snapshot.Dir, e snapshot.Entry) Read {
	m, err := dir.Manifest(e.Name)
	r := Read{Entry: e, Bytes: e.Size}
	r.setManifest(m, err)
	if r.Err != nil || e.Name.File == "" {
		return r
	}
	f, err := dir.File(e.Name)
	if err != nil {
		r.Err = err
		return r
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		r.Err = err
		return r
	}
	if !r.HasManifest() {
		in, err := input.Open(f, info.Size())
		if err == nil {
			err = in.Damage
		}
		if err != nil {
			r.Err = err
			return r
		}
		r.Form, r.RawSize = in.Form, max(in.Size, 0)
	}
	if d, err := input.ReadDirectory(f, info.Size()); err == nil {
		r.StateFile = d.StateFile
	}
	return r
}

// describeObject reads the end of an object, which has the manifest, and the directory of a zip if that is not too large.
func describeObject(ctx context.Context, b *s3.Bucket, e snapshot.Entry) Read {
	r := Read{Entry: e, Bytes: e.Size}
	if e.Name.Raw() {
		r.Form, r.RawSize = input.FormDatabase, e.Size
		return r
	}
	var end []byte
	m, err := snapshot.ReadManifest(ctx, e.Name, func(ctx context.Context, n snapshot.Name) ([]byte, int64, error) {
		tail, size, err := b.Tail(ctx, n)
		if err == nil {
			end, r.Bytes = tail, size
		}
		return tail, size, err
	})
	r.setManifest(m, err)
	if r.Err != nil || e.Name.File == "" {
		return r
	}
	r.Form = input.FormZip
	d, err := input.ReadDirectory(snapshot.TailReader(end, r.Bytes), r.Bytes)
	switch {
	case err == nil:
		r.StateFile = d.StateFile
		if !r.HasManifest() {
			r.RawSize = d.RawSize
		}
	case !errors.Is(err, snapshot.ErrNotInTail) && !r.HasManifest():
		r.Err = err
	}
	return r
}

// setManifest sets what a manifest says, or that there is none.
func (r *Read) setManifest(m snapshot.Manifest, err error) {
	r.Err = err
	switch {
	case err == nil:
		r.Manifest, r.RawSize, r.Form = m, m.RawSize, input.FormArchive
		if r.Name.Zip() {
			r.Form = input.FormZip
		}
	case errors.Is(err, snapshot.ErrNoManifest):
		r.Err = nil
	}
}
