package journal

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/snapshot"
)

// maxValues is how many bytes of values a merge holds, so that it reads the journal only once. Clusters change the same objects again and again: an hour
// of a busy one needs a few megabytes.
const maxValues = 32 << 20

// latest has the last event of each key up to the compaction.
type latest struct {
	events map[keyDigest]heldEvent
	size   int
	full   bool // there were too many: the journal must be read again
}

type heldEvent struct {
	at
	revision, value []byte
}

func (l *latest) add(e entry) {
	if l.full {
		return
	}
	k := digestOf(e.key)
	old := l.events[k]
	l.size -= cap(old.value)
	h := heldEvent{at: e.at, revision: e.revision, value: append(old.value[:0], e.value...)}
	l.events[k] = h
	if l.size += cap(h.value); l.size+len(l.events)*100 > maxValues {
		l.events, l.full = nil, true
	}
}

// compact writes what a new compaction keeps, and all that is after it. What it keeps is known only when all events up to it have been seen: those of
// the snapshot and of the journal, side by side.
func (g *merge) compact(ctx context.Context, j join) error {
	var old errgroup.Group
	old.Go(func() error {
		return snapshot.Guard(func() error {
			return g.eachOld(ctx, func(e entry) error { g.index(g.old, e); return nil })
		})
	})
	l := latest{events: map[keyDigest]heldEvent{}}
	written := false
	err := g.eachNew(ctx, j, func(e entry) error {
		switch {
		case e.main <= g.Compacted:
			l.add(e)
			g.index(g.new, e)
			return nil
		case l.full:
			return nil
		case !written:
			written = true
			if err := old.Wait(); err != nil {
				return err
			}
			if err := g.upToCompaction(ctx, l); err != nil {
				return err
			}
		}
		return g.write(e)
	})
	if failed := old.Wait(); err == nil { // it reads the snapshot until then
		err = failed
	}
	switch {
	case err != nil:
		return err
	case l.full:
		return g.each(ctx, j, g.write)
	case !written:
		return g.upToCompaction(ctx, l)
	}
	return nil
}

// upToCompaction writes the snapshot and the last events up to the compaction, in the order of revisions.
func (g *merge) upToCompaction(ctx context.Context, l latest) error {
	if err := g.eachOld(ctx, g.write); err != nil {
		return err
	}
	all := make([]heldEvent, 0, len(l.events))
	for _, h := range l.events {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b heldEvent) int { return cmp.Or(cmp.Compare(a.main, b.main), cmp.Compare(a.sub, b.sub)) })
	for _, h := range all {
		e, err := readEntry(h.revision, h.value)
		if err == nil {
			err = g.write(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
