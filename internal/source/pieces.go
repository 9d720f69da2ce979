package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// piece is one segment in one place.
type piece struct {
	snapshot.SegmentEntry // of one that is being written, with the last revision that counts
	listed                snapshot.SegmentName
	at                    Listing
	opened                *journal.Segment // nil: not yet
	bad                   error            // why it can't be used
	proven                bool             // all of it was read
}

// pieces are the segments of all places.
type pieces struct {
	all      []*piece
	searched []*piece // those of the history that is searched
	scratch  *snapshot.Dir

	dropped []*piece // those that can't be used

	mu    sync.Mutex
	fetch *os.File // what came from the bucket, one behind the other
	used  int64
	parts []*os.File // segments that are being written: their names change when they are complete
}

// piecesOf are those of the listings, without those that are to be skipped. The caller closes them.
func piecesOf(ctx context.Context, all []Listing, scratch *snapshot.Dir, skip func(Listing, snapshot.SegmentName) bool) (*pieces, error) {
	p := &pieces{scratch: scratch}
	for _, l := range all {
		for _, e := range l.Segments {
			x := &piece{SegmentEntry: e, listed: e.Name, at: l}
			if skip(l, e.Name) {
				continue
			}
			switch used, err := p.openUnfinished(ctx, x); {
			case err != nil:
				return nil, errors.Join(err, p.close())
			case !used:
				continue
			}
			p.all = append(p.all, x)
		}
	}
	slices.SortStableFunc(p.all, func(a, b *piece) int { return snapshot.CompareSegments(a.Name, b.Name) })
	return p, nil
}

// openUnfinished opens a segment that is being written, so that its end is known; false: nothing of it counts.
func (p *pieces) openUnfinished(ctx context.Context, x *piece) (used bool, err error) {
	if x.Name.Complete() {
		return true, nil
	}
	switch err := p.open(ctx, x); {
	case errors.Is(err, journal.ErrEmpty):
		return false, nil
	case errors.Is(err, snapshot.ErrNotFound): // it was completed, or removed, since the directory was listed
		e, found, err := x.at.completed(x.Name)
		x.SegmentEntry, x.listed = e, e.Name
		return found, err
	case err != nil:
		return x.bad != nil, skipBad(x, err)
	}
	x.Name.Last = x.opened.Last
	return true, nil
}

func skipBad(x *piece, err error) error {
	if x.bad != nil { // it is reported, and skipped
		return nil
	}
	return err
}

func (p *pieces) close() (err error) {
	if p.fetch != nil {
		err = p.fetch.Close()
	}
	for _, f := range p.parts {
		err = errors.Join(err, f.Close())
	}
	return err
}

// open reads the manifest of a segment, of one in the bucket after it was fetched.
func (p *pieces) open(ctx context.Context, x *piece) (err error) {
	switch {
	case x.opened != nil:
		return nil
	case x.at.local != nil && x.Name.Complete():
		x.opened, err = journal.OpenNamed(reopened{x.at.local, x.Name}, x.Size, x.Name)
	case x.at.local != nil:
		x.opened, err = p.openPart(ctx, x)
	default:
		var r io.ReaderAt
		if r, err = p.fetched(ctx, x); err == nil {
			x.opened, err = journal.OpenNamed(r, x.Size, x.Name)
		}
	}
	return x.failed(err)
}

// failed adds where it is to an error, and notes that the segment can't be used if it is damaged.
func (x *piece) failed(err error) error {
	if err == nil {
		return nil
	}
	err = x.located(err)
	if unusable(err) {
		x.bad = err
	}
	return err
}

func (x *piece) located(err error) error {
	return fmt.Errorf("%s in %s: %w", x.listed, x.at.Where, journal.Unnamed(err))
}

// dropBad removes those that can't be used, and returns why.
func (p *pieces) dropBad() (why []error) {
	p.all = slices.DeleteFunc(p.all, func(x *piece) bool {
		if x.bad != nil {
			why, p.dropped = append(why, x.bad), append(p.dropped, x)
		}
		return x.bad != nil
	})
	return why
}

// reopened opens the file of a segment for each read: a journal has thousands.
type reopened struct {
	dir  *snapshot.Dir
	name snapshot.SegmentName
}

func (r reopened) ReadAt(b []byte, offset int64) (int, error) {
	f, err := r.dir.OpenSegment(r.name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(b, offset)
}

// openPart opens a segment that is being written: its name may change at any moment, and its end.
func (p *pieces) openPart(ctx context.Context, x *piece) (*journal.Segment, error) {
	f, err := x.at.local.OpenSegment(x.Name)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.parts = append(p.parts, f)
	p.mu.Unlock()
	return journal.OpenFile(ctx, f, x.Name)
}

// fetched copies a segment of the bucket to the disk.
func (p *pieces) fetched(ctx context.Context, x *piece) (io.ReaderAt, error) {
	body, size, err := x.at.getSegment(ctx, x.Name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if size != x.Size {
		return nil, fmt.Errorf("%w: it has %d bytes, not %d as listed", snapshot.ErrDamaged, size, x.Size)
	}
	at, err := p.room(size)
	if err != nil {
		return nil, err
	}
	if n, err := io.Copy(io.NewOffsetWriter(p.fetch, at), body); err != nil || n != size {
		return nil, fmt.Errorf("fetch it: %d of %d bytes: %w", n, size, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return io.NewSectionReader(p.fetch, at, size), nil
}

func (p *pieces) room(size int64) (at int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetch == nil {
		if p.fetch, err = p.scratch.Scratch(); err != nil {
			return 0, err
		}
	}
	at = p.used
	p.used += size
	return at, nil
}

// openAll opens several, those in a bucket side by side. A damaged one is no reason to give up the others.
func (p *pieces) openAll(ctx context.Context, of []*piece) error {
	errs := make([]error, len(of))
	var g errgroup.Group
	g.SetLimit(manifestReads)
	for i, x := range of {
		g.Go(func() error {
			errs[i] = p.open(ctx, x)
			return nil
		})
	}
	_ = g.Wait() // its goroutines return no error
	return cmp.Or(errs...)
}

// prove reads all of these. What is damaged is noted.
func (p *pieces) prove(ctx context.Context, of []*piece) error {
	if err := p.openAll(ctx, of); err != nil {
		return err
	}
	for _, x := range of {
		if x.proven || x.bad != nil {
			continue
		}
		if err := x.failed(x.opened.Each(ctx, func(journal.Record) error { return nil })); err != nil {
			return err
		}
		x.proven = true
	}
	return nil
}

// names has each name once, in their order.
func (p *pieces) names() (all []snapshot.SegmentName) {
	for _, x := range p.all {
		if len(all) == 0 || all[len(all)-1] != x.Name {
			all = append(all, x.Name)
		}
	}
	return all
}

// reader returns what a segment of that name says of itself; zero: it can't be read now. That is no reason to say so: it may not be needed.
func (p *pieces) reader(ctx context.Context) func(snapshot.SegmentName) journal.Manifest {
	refused := map[string]bool{} // places that fail for another reason than the segment: the next would fail too
	return func(n snapshot.SegmentName) (m journal.Manifest) {
		first, _ := slices.BinarySearchFunc(p.all, n, func(x *piece, n snapshot.SegmentName) int { return snapshot.CompareSegments(x.Name, n) })
		for _, x := range p.all[first:] {
			if x.Name != n {
				break
			}
			if refused[x.at.Where] {
				continue
			}
			err := p.open(ctx, x)
			if err == nil {
				return x.opened.Manifest
			}
			refused[x.at.Where] = x.bad == nil && !errors.Is(err, snapshot.ErrNotFound)
			x.bad = nil
		}
		return m
	}
}

// chain are the segments that continue a revision, up to the next gap. Of two that reach as far, that of the first place counts.
func (p *pieces) chain(from int64) []*piece {
	return journal.FollowIn(p.searched, func(x *piece) snapshot.SegmentName { return x.Name }, from)
}

func reach(chain []*piece, from int64) int64 {
	if len(chain) == 0 {
		return from
	}
	return chain[len(chain)-1].Name.Last
}
