package mirror

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

const (
	// readers is how many manifests are read from the bucket at a time.
	readers = 8
	// maxUnread is how many of them may fail before the others are left to the next pass.
	maxUnread = 3
)

// manifests has what the manifests in both places say. Each object of the bucket is read once, with a small request, and the status
// remembers the result, also for the next process. Files are read when they are needed.
type manifests struct {
	src    Source
	view   view
	status *status.Tracker
	now    time.Time
	local  map[snapshot.Name]snapshot.Entry
	remote map[snapshot.Name]snapshot.Entry

	mu     sync.Mutex
	here   map[snapshot.Name]snapshot.Facts // of files
	there  map[snapshot.Name]snapshot.Facts // of objects; one that could not be read is missing
	sizes  map[snapshot.Name]int64          // of objects that were read, as they are, whatever the listing says
	failed error                            // the first that could not be read; the others mostly fail for the same cause
	unread int
}

func newManifests(src Source, v view, now time.Time, local, remote []snapshot.Entry) *manifests {
	return &manifests{
		src: src, view: v, status: v.options.Status, now: now, local: byName(local), remote: byName(remote),
		here: map[snapshot.Name]snapshot.Facts{}, there: map[snapshot.Name]snapshot.Facts{}, sizes: map[snapshot.Name]int64{},
	}
}

func byName(entries []snapshot.Entry) map[snapshot.Name]snapshot.Entry {
	out := map[snapshot.Name]snapshot.Entry{}
	for _, e := range entries {
		out[e.Name] = e
	}
	return out
}

// readAll reads the manifests of objects that the status does not know, and of those whose listed size is not that of their file: some
// servers list none or another one. It reads in the order that is given: one after the other until one has been read, and then several
// at a time. One that can't be read stays unknown; see failed.
func (m *manifests) readAll(ctx context.Context, objects []snapshot.Entry) {
	var wanted []snapshot.Entry
	for _, e := range objects {
		c, _ := m.status.Known(status.S3, e)
		file, isFile := m.local[e.Name]
		switch _, known := m.object(e.Name); {
		case known:
		case (c.Cluster != 0 || c.Foreign) && (!isFile || file.Size == e.Size):
			m.there[e.Name] = c.Facts
		default:
			wanted = append(wanted, e)
		}
	}
	fresh := map[snapshot.Name]snapshot.Facts{}
	answers, oneByOne := false, true
	var g errgroup.Group
	g.SetLimit(readers)
	for _, e := range wanted {
		if m.gaveUp() || ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			read, err := snapshot.ReadManifest(ctx, e.Name, m.tail)
			m.mu.Lock()
			defer m.mu.Unlock()
			answers = m.record(e, read, err, fresh) || answers
			return nil
		})
		if oneByOne {
			_ = g.Wait() // its goroutines return no error
			oneByOne = !answers
		}
	}
	_ = g.Wait()
	m.status.SetManifests(status.S3, fresh)
	if ctx.Err() != nil {
		m.failed = cmp.Or(m.failed, ctx.Err())
	}
}

// tail is that of the bucket.
func (m *manifests) tail(ctx context.Context, n snapshot.Name) ([]byte, int64, error) {
	tail, size, err := m.view.bucket.Tail(ctx, n)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sizes[n] = size
	}
	return tail, size, err
}

// sizeOf returns the size of an object: that of the object itself if it was read, else the listed one.
func (m *manifests) sizeOf(object snapshot.Entry) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size, read := m.sizes[object.Name]; read {
		return size
	}
	return object.Size
}

func (m *manifests) gaveUp() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unread >= maxUnread
}

// record keeps the result of one request; false: there was none.
func (m *manifests) record(e snapshot.Entry, read snapshot.Manifest, err error, fresh map[snapshot.Name]snapshot.Facts) bool {
	if errors.Is(err, snapshot.ErrDamaged) {
		m.status.SetDamaged(status.S3, m.now, e.Name, err)
	}
	x, err := prune.FromManifest(read, err)
	if err != nil {
		m.unread++
		m.failed = cmp.Or(m.failed, err)
		return false
	}
	m.there[e.Name] = x
	if x.Cluster != 0 || x.Foreign {
		fresh[e.Name] = x
	}
	return true
}

// file returns what the manifest of a file says.
func (m *manifests) file(e snapshot.Entry) (snapshot.Facts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x, known := m.here[e.Name]; known {
		return x, nil
	}
	if c, _ := m.status.Known(status.Local, e); c.Cluster != 0 {
		m.here[e.Name] = c.Facts
		return m.here[e.Name], nil
	}
	x, err := prune.FromManifest(localManifest(m.src, e))
	if err == nil {
		m.here[e.Name] = x
	}
	return x, err
}

// copyOf returns what is known of a file, for its copy in the bucket.
func (m *manifests) copyOf(e snapshot.Entry) status.Copy {
	c, _ := m.status.Known(status.Local, e)
	if x, err := m.file(e); err == nil {
		c.Facts = x
	}
	return c
}

// object returns what the manifest of an object says; false: it could not be read.
func (m *manifests) object(n snapshot.Name) (snapshot.Facts, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.there[n]
	return x, ok
}

// clash reports whether file and object of one name are of two clusters, which took them in the same second.
func (m *manifests) clash(n snapshot.Name) bool {
	e, isFile := m.local[n]
	there, read := m.object(n)
	if !isFile || !read || there.Cluster == 0 {
		return false
	}
	here, err := m.file(e)
	return err == nil && here.Cluster != 0 && here.Cluster != there.Cluster
}

// details are those of the file if there is one, and else of the object. In a clash, the file counts: what is decided is not done to the
// object then. Of a damaged file nothing is known, and its object may be the last one with data that etcd has lost.
func (m *manifests) details(_ context.Context, e snapshot.Entry) (snapshot.Facts, error) {
	file, isFile := m.local[e.Name]
	_, isObject := m.remote[e.Name]
	x, read := m.object(e.Name)
	switch {
	case isObject && !read:
		return x, cmp.Or(m.failed, errors.New("not read yet"))
	case isFile:
		here, err := m.file(file)
		if err == nil && here.Cluster == 0 && !here.Foreign && x.Cluster != 0 {
			return x, nil
		}
		return here, err
	}
	return x, nil
}

// objectDetails are those of the object alone, which is read if it was not before.
func (m *manifests) objectDetails(ctx context.Context, e snapshot.Entry) (snapshot.Facts, error) {
	m.readAll(ctx, []snapshot.Entry{e})
	x, read := m.object(e.Name)
	if !read {
		return x, cmp.Or(m.failed, errors.New("not read yet"))
	}
	return x, nil
}

// strangers reports whether another cluster has objects of this node's name.
func (m *manifests) strangers(node string, l snapshot.Lineage) bool {
	for n, x := range m.there {
		if n.OfNode(node) && x.Cluster != 0 && !l.Has(x.Cluster) {
			return true
		}
	}
	return false
}

// ofNode returns the snapshots of a node.
func ofNode(entries []snapshot.Entry, node string) []snapshot.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e snapshot.Entry) bool { return !e.Name.OfNode(node) })
}

func localManifest(src Source, e snapshot.Entry) (snapshot.Manifest, error) {
	f, err := src.File(e.Name)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	defer f.Close()
	a, err := snapshot.OpenArchive(f, e.Size)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	return a.Manifest, nil
}
