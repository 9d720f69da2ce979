package source

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Base is a snapshot with which a restore of a moment may begin.
type Base struct {
	Name     snapshot.Name
	Time     time.Time
	Cluster  snapshot.ID
	Revision int64 // it has this one, or a later one
}

// Range is a row of moments without a gap. Each can be restored if there is a base.
type Range struct {
	Node        string
	Cluster     snapshot.ID
	Base        *Base // nil: no snapshot is followed by these revisions
	First, Last int64 // revisions; First is that of the base
	From, To    time.Time
	Segments    int
	Bytes       int64
	Places      []config.Place
	Mirrored    *Mirrored // nil: not both places are known, or the bucket has nothing of it
	Err         error     // a segment could not be read, so that this is not all that is known
}

// Mirrored is up to where the bucket has the range.
type Mirrored struct {
	Last int64
	To   time.Time
}

// Ranges says which moments can be restored from the journal of each node, in the order of nodes and time. What the names say is not read:
// segments are read where a row of them begins and ends. So this proves nothing.
func (j *Journal) Ranges(ctx context.Context, bases []Base) (all []Range) {
	r := &ranging{j, map[snapshot.SegmentName]journal.Manifest{}, nil}
	byNode := map[string][]snapshot.SegmentName{}
	var nodes []string
	for _, n := range j.Names {
		if _, known := byNode[n.Node]; !known {
			nodes = append(nodes, n.Node)
		}
		byNode[n.Node] = append(byNode[n.Node], n)
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		for _, row := range r.rows(ctx, byNode[node]) {
			for _, life := range r.lives(ctx, row) {
				if found, ok := r.describe(ctx, life, bases); ok {
					all = append(all, found)
				}
			}
		}
	}
	return all
}

// ranging is one call of Ranges.
type ranging struct {
	*Journal
	read map[snapshot.SegmentName]journal.Manifest
	err  error
}

// manifest reads what a segment says of itself. That of one without a revision, or that is gone, is zero.
func (r *ranging) manifest(ctx context.Context, n snapshot.SegmentName) journal.Manifest {
	if m, ok := r.read[n]; ok {
		return m
	}
	var m journal.Manifest
	s, closer, err := r.Open(ctx, n)
	switch {
	case err == nil:
		m, err = s.Manifest, closer.Close()
	case errors.Is(err, snapshot.ErrNotFound), errors.Is(err, journal.ErrEmpty): // it is being written, or was just completed or pruned
		err = nil
	}
	r.err = cmp.Or(r.err, err)
	r.read[n] = m
	return m
}

// last is the last revision of a segment.
func (r *ranging) last(ctx context.Context, n snapshot.SegmentName) int64 {
	if n.Complete() {
		return n.Last
	}
	return r.manifest(ctx, n).Last
}

// rows splits the segments of a node, in the order of time, where revisions are missing, and where they begin again: then the cluster was restored.
func (r *ranging) rows(ctx context.Context, names []snapshot.SegmentName) (rows [][]snapshot.SegmentName) {
	slices.SortStableFunc(names, func(a, b snapshot.SegmentName) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.First, b.First))
	})
	var end int64
	for _, n := range names {
		last := r.last(ctx, n)
		if last == 0 {
			continue
		}
		at := len(rows) - 1
		switch {
		case at >= 0 && n.First == end+1:
		case at >= 0 && n.First <= end && r.manifest(ctx, n).ClusterID == r.manifest(ctx, rows[at][len(rows[at])-1]).ClusterID:
		default:
			rows, end = append(rows, nil), 0
			at++
		}
		rows[at], end = append(rows[at], n), max(end, last)
	}
	return rows
}

// lives splits a row where the cluster was restored and went on with the next revision.
func (r *ranging) lives(ctx context.Context, row []snapshot.SegmentName) (lives [][]snapshot.SegmentName) {
	for len(row) > 0 {
		first := r.manifest(ctx, row[0]).ClusterID
		n := len(row)
		if r.manifest(ctx, row[n-1]).ClusterID != first {
			n = sort.Search(len(row), func(i int) bool { return r.manifest(ctx, row[i]).ClusterID != first })
		}
		lives, row = append(lives, row[:n]), row[n:]
	}
	return lives
}

// describe says what can be restored from segments of one cluster without a gap.
func (r *ranging) describe(ctx context.Context, row []snapshot.SegmentName, bases []Base) (out Range, ok bool) {
	first, last := r.manifest(ctx, row[0]), r.manifest(ctx, row[len(row)-1])
	out = Range{Node: row[0].Node, Cluster: first.ClusterID, First: row[0].First, From: cmp.Or(first.From, row[0].Time), To: last.To}
	for _, n := range row {
		out.Last = max(out.Last, r.last(ctx, n))
	}
	out.To = r.until(last, bases)
	for i, b := range bases {
		if b.Cluster == out.Cluster && b.Revision >= row[0].First-1 && b.Revision <= out.Last && (out.Base == nil || b.Revision < out.Base.Revision) {
			out.Base = &bases[i]
		}
	}
	if out.Base != nil {
		out.First, out.From = out.Base.Revision, out.Base.Time
		row = slices.DeleteFunc(slices.Clone(row), func(n snapshot.SegmentName) bool { return r.last(ctx, n) < out.Base.Revision })
	}
	out.Err, r.err = r.err, nil
	for _, n := range row {
		out.Segments++
		out.Bytes += r.Size(n)
	}
	for _, place := range []config.Place{config.Local, config.S3} {
		if len(r.of(place, row)) > 0 {
			out.Places = append(out.Places, place)
		}
	}
	if chain := journal.Follow(r.of(config.S3, row), out.First); len(r.places) > 1 && len(chain) > 0 {
		end := chain[len(chain)-1]
		out.Mirrored = &Mirrored{end.Last, r.manifest(ctx, end).To}
	}
	return out, len(row) > 0
}
