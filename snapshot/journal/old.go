package journal

import (
	"bytes"
	"context"
	"slices"

	"go.etcd.io/bbolt"
)

// eachOld reads the entries of the snapshot: it notes their leases, and the last change of each key up to a new compaction. What that compaction removes
// of them is removed meanwhile.
func (g *merge) eachOld(ctx context.Context) error {
	var next []byte
	for first := true; first || next != nil; first = false {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var gone []gone
		err := g.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket([]byte(keys)).Cursor()
			k, v := c.Seek(next)
			for n := 0; k != nil && n < batchPuts; n++ {
				e, err := readEntry(k, v)
				if err != nil {
					return err
				}
				gone = g.indexOld(e, gone)
				k, v = c.Next()
			}
			next = bytes.Clone(k)
			return nil
		})
		if err != nil {
			return err
		}
		if err := g.remove(gone); err != nil {
			return err
		}
	}
	return nil
}

// gone is an entry of the snapshot that a compaction removes.
type gone struct {
	at
	deleted bool
}

// indexOld is index for an entry of the snapshot. It adds what the compaction removes.
func (g *merge) indexOld(e entry, all []gone) []gone {
	k := digestOf(e.key)
	g.lease(e, k)
	if g.old == nil || e.main > g.Compacted {
		return all
	}
	if before, found := g.old[k]; found {
		all = append(all, gone{at: before})
	}
	if e.deleted && e.main < g.Compacted {
		delete(g.old, k)
		return append(all, gone{e.at, true})
	}
	g.old[k] = e.at
	return all
}

// removeReplaced removes the entries of the snapshot for whose keys the journal has an event up to the compaction.
func (g *merge) removeReplaced() error {
	var all []gone
	for k := range g.new {
		if before, found := g.old[k]; found {
			all = append(all, gone{at: before})
		}
	}
	return g.remove(all)
}

// remove removes entries, in transactions of bounded size.
func (g *merge) remove(all []gone) error {
	slices.SortFunc(all, func(a, b gone) int { return a.compare(b.at) })
	for len(all) > 0 {
		err := g.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(keys))
			for size := 0; len(all) > 0 && size < batchBytes; all = all[1:] {
				k := all[0].key(all[0].deleted)
				size += around(b.Cursor(), k)
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return writing(err)
		}
	}
	return nil
}

// around is about how many bytes a transaction holds that changes an entry: those of its page, which is of the usual size, or has at most four entries.
func around(c *bbolt.Cursor, k []byte) int {
	_, v := c.Seek(k)
	size := 4<<10 + len(v)
	for _, step := range []func() ([]byte, []byte){c.Next, c.Prev} {
		c.Seek(k)
		for range 3 {
			_, v := step()
			size += len(v)
		}
	}
	return size
}
