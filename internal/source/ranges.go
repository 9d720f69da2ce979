package source

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Range is a row of moments without a gap. Each can be restored if there is a base.
type Range struct {
	Node        string
	Cluster     snapshot.ID
	Base        *history.Snapshot // nil: no snapshot is followed by these revisions
	First, Last int64             // revisions; First is that of the base
	From, To    time.Time         // each moment from the one to the other is one of the row
	Segments    int
	Bytes       int64
	Places      []config.Place
	Restored    bool      // the cluster was restored between the range of the node before this one, and this one
	Mirrored    *Mirrored // nil: not both places are known, or the bucket has nothing of it
	Err         error     // a segment could not be read, so that this is not all that is known
}

// Mirrored is the newest state of the range that the bucket has.
type Mirrored struct {
	Last int64
	To   time.Time
}

// Ranges says which moments can be restored from the journal of each node, in the order of nodes and time. What the names say is not read:
// segments are read where a row of them begins and ends. So this proves nothing.
func (j *Journal) Ranges(ctx context.Context, bases []history.Snapshot) (all []Range) {
	r := j.ranging()
	names, unread := r.names(ctx)
	h := history.Find(history.Records{Segments: names, Snapshots: bases, Manifest: r.reader(ctx)})
	var before history.Row // the last one of which the cluster is known
	for i, row := range h.Rows {
		found := r.describe(ctx, row, slices.DeleteFunc(slices.Clone(bases), func(b history.Snapshot) bool { return h.Of(b.Cluster, b.Time) != row.History }),
			func(t time.Time) time.Time { return h.Next(row.History, t) })
		if row.Cluster != 0 {
			found.Restored = before.Names != nil && before.Names[0].Node == found.Node && before.History != row.History
			before = row
		}
		if i == len(h.Rows)-1 || h.Rows[i+1].Names[0].Node != found.Node {
			found.Err = cmp.Or(found.Err, unread[found.Node])
		}
		all = append(all, found)
	}
	return all
}

// ranging is one call of Ranges.
type ranging struct {
	*Journal
	known  map[snapshot.SegmentName]*segmentRead
	unread *segmentRead                                  // of each that is gone, or has no revision: the bucket may have tens of thousands that the directory lacks
	listed map[snapshot.SegmentName]snapshot.SegmentName // by the names with the last revisions that count
}

func (j *Journal) ranging() *ranging {
	return &ranging{j, map[snapshot.SegmentName]*segmentRead{}, &segmentRead{}, make(map[snapshot.SegmentName]snapshot.SegmentName, len(j.Names))}
}

// names returns those of all segments with their last revisions. unread says by nodes what is wrong with those that are being written.
func (r *ranging) names(ctx context.Context) (names []snapshot.SegmentName, unread map[string]error) {
	names, unread = make([]snapshot.SegmentName, 0, len(r.Names)), map[string]error{}
	for _, n := range r.Names {
		known := n
		if !n.Complete() {
			x := r.read(ctx, n)
			known.Last, unread[n.Node] = x.Last, cmp.Or(unread[n.Node], x.err)
		}
		if _, twice := r.listed[known]; known.Last > 0 && !twice { // completed meanwhile
			r.listed[known] = n
			names = append(names, known)
		}
	}
	return names, unread
}

// segmentRead is what a segment says of itself, or why it could not be read.
type segmentRead struct {
	journal.Manifest
	err error
}

// reader returns [ranging.manifest] with a context.
func (r *ranging) reader(ctx context.Context) func(snapshot.SegmentName) journal.Manifest {
	return func(n snapshot.SegmentName) journal.Manifest { return r.manifest(ctx, n) }
}

// manifest is read for a name with its last revision.
func (r *ranging) manifest(ctx context.Context, n snapshot.SegmentName) journal.Manifest {
	return r.read(ctx, r.listed[n]).Manifest
}

// read reads what a segment says of itself.
func (r *ranging) read(ctx context.Context, n snapshot.SegmentName) *segmentRead {
	if x, ok := r.known[n]; ok {
		return x
	}
	x := r.unread
	s, closer, err := r.openIntact(ctx, n)
	switch {
	case err == nil:
		x = &segmentRead{s.Manifest, closer.Close()}
	case errors.Is(err, snapshot.ErrNotFound), errors.Is(err, journal.ErrEmpty): // it is being written, or was just completed or pruned
	default:
		x = &segmentRead{err: err}
	}
	r.known[n] = x
	return x
}

// unusable reports that a segment is damaged, empty or gone. A place that can't be read is another matter: it is not asked for the next one too.
func (r *ranging) unusable(ctx context.Context, n snapshot.SegmentName) bool {
	x := r.read(ctx, r.listed[n])
	return x.ClusterID == 0 && (x.err == nil || unusable(x.err))
}

// received returns when a revision was: no earlier moment of its segment can be restored from a snapshot of that revision. If it can't be read, it is
// when the segment ends.
func (r *ranging) received(ctx context.Context, n snapshot.SegmentName, revision int64) time.Time {
	s, closer, err := r.openIntact(ctx, r.listed[n])
	if err != nil {
		return r.manifest(ctx, n).To
	}
	at, err := journal.Received(ctx, s, revision)
	if err = errors.Join(err, closer.Close()); err != nil {
		return r.manifest(ctx, n).To
	}
	return at
}

// describe says what can be restored from segments of one history without a gap.
func (r *ranging) describe(ctx context.Context, row history.Row, bases []history.Snapshot, other func(time.Time) time.Time) Range {
	names := row.Names
	n := len(names)
	for n > 1 && r.unusable(ctx, names[n-1]) { // what is before it can be restored
		n--
	}
	names = names[:n]
	last := r.manifest(ctx, names[n-1])
	out := Range{Node: names[0].Node, Cluster: row.Cluster, First: names[0].First, Last: names[n-1].Last, From: names[0].Time, To: last.To}
	out.To = r.until(last, bases, other)
	for _, b := range bases {
		if end := other(b.Time); b.Time.After(out.To) || !end.IsZero() && end.Before(out.From) { // of before or after another history
			continue
		}
		if b.Revision >= out.First-1 && b.Revision <= out.Last && (out.Base == nil || b.Revision < out.Base.Revision) {
			out.Base = &b // not in bases, which would stay as long as it
		}
	}
	if out.Base != nil {
		out.First, out.From = out.Base.Revision, out.Base.Time
		names = slices.DeleteFunc(slices.Clone(names), func(n snapshot.SegmentName) bool { return n.Last < out.First })
		if names[0].First <= out.First {
			out.From = r.received(ctx, names[0], out.First)
		}
	}
	for _, n := range row.Names {
		if x := r.known[r.listed[n]]; x != nil {
			out.Err = cmp.Or(out.Err, x.err)
		}
	}
	listed := make([]snapshot.SegmentName, len(names))
	for i, n := range names {
		listed[i] = r.listed[n]
		out.Segments++
		out.Bytes += r.Size(listed[i])
	}
	for _, place := range []config.Place{config.Local, config.S3} {
		if len(r.of(place, listed)) > 0 {
			out.Places = append(out.Places, place)
		}
	}
	if len(r.places) > 1 {
		out.Mirrored = r.mirrored(ctx, out, r.of(config.S3, listed), bases)
	}
	return out
}

// mirrored says up to where the bucket has a range: with these segments, or with its newest snapshot of the range, and what continues that.
func (r *ranging) mirrored(ctx context.Context, of Range, segments []snapshot.SegmentName, bases []history.Snapshot) (m *Mirrored) {
	reach := func(from Mirrored) {
		if chain := journal.Follow(segments, from.Last); len(chain) > 0 {
			end := chain[len(chain)-1]
			from = Mirrored{end.Last, r.manifest(ctx, end).To}
		}
		if m == nil || from.Last > m.Last || from.Last == m.Last && from.To.After(m.To) {
			m = &from
		}
	}
	if len(journal.Follow(segments, of.First)) > 0 {
		reach(Mirrored{Last: of.First})
	}
	for _, b := range bases {
		if b.Revision >= of.First && b.Revision <= of.Last && !b.Time.Before(of.From.Truncate(time.Second)) && !b.Time.After(of.To) && r.has(config.S3, b.Name) {
			reach(Mirrored{b.Revision, b.Time})
		}
	}
	return m
}
