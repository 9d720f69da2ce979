package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Journal is what several places have of the journal, each segment once: from the directory rather than from the bucket.
type Journal struct {
	Names []snapshot.SegmentName // in their order, also those that are not complete

	scratch *snapshot.Dir
	places  []Listing
	at      map[snapshot.SegmentName]located
	also    []map[snapshot.SegmentName]bool // by places: what it has too, and another place is read instead
}

// located is where a segment is read from.
type located struct {
	entry snapshot.SegmentEntry
	place int
}

// JournalOf collects the segments of some listings, which stay open as long as it is used. Those of the bucket are fetched into files without a
// name in scratch.
func JournalOf(all []Listing, scratch *snapshot.Dir) *Journal {
	most := 0 // there may be tens of thousands
	for _, l := range all {
		most = max(most, len(l.Segments))
	}
	j := &Journal{Names: make([]snapshot.SegmentName, 0, most), scratch: scratch, places: all, at: make(map[snapshot.SegmentName]located, most), also: make([]map[snapshot.SegmentName]bool, len(all))}
	for i, l := range all {
		j.also[i] = map[snapshot.SegmentName]bool{}
		for _, e := range l.Segments {
			if _, has := j.at[e.Name]; has {
				j.also[i][e.Name] = true
				continue
			}
			j.at[e.Name] = located{e, i}
			j.Names = append(j.Names, e.Name)
		}
	}
	slices.SortFunc(j.Names, snapshot.CompareSegments)
	return j
}

// JournalIn is the journal of segments that are read from a directory, also if they were listed in a bucket, which has the same. One that the directory
// no longer has can't be read.
func JournalIn(dir *snapshot.Dir, segments []snapshot.SegmentEntry) *Journal {
	return JournalOf([]Listing{{Place: config.Local, Where: dir.Path(), Listing: snapshot.Listing{Segments: segments}, local: dir}}, dir)
}

// Open opens one of the segments. Errors are those of Listing.Segment, and begin with its name.
func (j *Journal) Open(ctx context.Context, n snapshot.SegmentName) (*journal.Segment, io.Closer, error) {
	at, ok := j.at[n]
	if !ok {
		return nil, nil, journal.Named(n, fmt.Errorf("there is no such segment in %s: list shows what there is", Wheres(j.places)))
	}
	return j.places[at.place].Segment(ctx, at.entry, j.scratch)
}

// openIntact opens the first copy of a segment that can be opened. The error is that of Open.
func (j *Journal) openIntact(ctx context.Context, n snapshot.SegmentName) (*journal.Segment, io.Closer, error) {
	s, closer, err := j.Open(ctx, n)
	if err == nil || !unusable(err) {
		return s, closer, err
	}
	for _, at := range j.copies(n)[1:] {
		if s, closer, err := j.places[at.place].Segment(ctx, at.entry, j.scratch); err == nil {
			return s, closer, nil
		}
	}
	return nil, nil, err
}

// unusable reports that an error is about the segment itself: another copy of it may be intact.
func unusable(err error) bool {
	return errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrFormat)
}

// copies are where a segment is, beginning with where it is read from.
func (j *Journal) copies(n snapshot.SegmentName) []located {
	all := []located{j.at[n]}
	for i, l := range j.places {
		if j.also[i][n] {
			k := slices.IndexFunc(l.Segments, func(e snapshot.SegmentEntry) bool { return e.Name == n })
			all = append(all, located{l.Segments[k], i})
		}
	}
	return all
}

// use reads a segment from another copy from now on.
func (j *Journal) use(n snapshot.SegmentName, copied located) {
	j.also[j.at[n].place][n] = true
	delete(j.also[copied.place], n)
	j.at[n] = copied
}

// Bundle copies segments one behind the other, see [journal.Bundle]. size is that of their records, bytes.
func (j *Journal) Bundle(ctx context.Context, w io.Writer, chain []snapshot.SegmentName) (all []journal.Section, size int64, err error) {
	for _, n := range chain {
		s, closer, err := j.Open(ctx, n)
		if err != nil {
			return nil, 0, err
		}
		section, err := journal.Bundle(w, []*journal.Segment{s})
		if err = errors.Join(err, closer.Close()); err != nil {
			return nil, 0, err
		}
		all, size = append(all, section...), size+s.RawSize
	}
	return all, size, nil
}

// Where says for people where a segment is read from.
func (j *Journal) Where(n snapshot.SegmentName) string { return j.places[j.at[n].place].Where }

// Wheres names all places of the journal for people.
func (j *Journal) Wheres() string { return Wheres(j.places) }

// Size is the segment's, in bytes.
func (j *Journal) Size(n snapshot.SegmentName) int64 { return j.at[n].entry.Size }

// has reports that a snapshot is in a place of that kind.
func (j *Journal) has(place config.Place, n snapshot.Name) bool {
	return slices.ContainsFunc(j.places, func(l Listing) bool { return l.Place == place && l.Has(n) })
}

// of returns the names that are in a place of that kind.
func (j *Journal) of(place config.Place, names []snapshot.SegmentName) (there []snapshot.SegmentName) {
	for i, l := range j.places {
		switch {
		case l.Place != place:
			continue
		case len(j.places) == 1: // it has all of them
			return names
		}
		for _, n := range names {
			if j.at[n].place == i || j.also[i][n] {
				there = append(there, n)
			}
		}
	}
	return there
}
