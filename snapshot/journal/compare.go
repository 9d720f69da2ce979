package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// ErrDifferent marks two databases of one revision that differ.
var ErrDifferent = errors.New("the databases differ")

// Compared says what Compare found equal.
type Compared struct {
	Revision  int64
	Compacted int64 // up to which only the last state of each key was compared; 0: nothing was compacted
	Keys      int   // that existed at that revision
	Changes   int64 // after it
}

// Compare demands that two databases have the same keys, revisions and values: the one that Merge made of a snapshot and the journal, and that of the
// next snapshot. What a compaction allows may differ: up to the newer compaction of both, only the last state of each key counts. It closes both files.
// Errors wrap ErrDifferent or snapshot.ErrDamaged.
func Compare(ctx context.Context, merged, next *os.File) (c Compared, err error) {
	err = snapshot.ViewDatabase(merged, func(a *bbolt.Tx) error {
		return snapshot.ViewDatabase(next, func(b *bbolt.Tx) error {
			x := comparison{tx: [2]*bbolt.Tx{a, b}}
			defer func() { c = x.Compared }()
			return x.run(ctx)
		})
	})
	return c, errors.Join(err, closeAgain(merged), closeAgain(next))
}

// closeAgain closes a file that an error may have left open.
func closeAgain(f *os.File) error {
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

type comparison struct {
	Compared
	tx [2]*bbolt.Tx
}

// kept is the last change of a key up to the compaction.
type kept struct {
	at
	value keyDigest
}

func (x *comparison) run(ctx context.Context) error {
	var newest [2]int64
	for i, tx := range x.tx {
		g := &merge{tx: tx}
		j, err := g.begin(0)
		if err != nil {
			return err
		}
		newest[i], x.Compacted = g.Base, max(x.Compacted, j.compacted)
	}
	if newest[0] != newest[1] {
		return fmt.Errorf("%w: one is of revision %d, the other of revision %d", ErrDifferent, newest[0], newest[1])
	}
	x.Revision = newest[0]
	if err := x.states(ctx); err != nil {
		return err
	}
	return x.changes(ctx)
}

// states compares what a compaction keeps. A deletion at the revision of the compaction itself is kept by some versions of etcd only.
func (x *comparison) states(ctx context.Context) error {
	var all [2]map[keyDigest]kept
	for i := range x.tx {
		all[i] = map[keyDigest]kept{}
		err := x.each(ctx, i, nil, func(e entry) (bool, error) {
			switch k := digestOf(e.key); {
			case e.main > x.Compacted:
				return false, nil
			case e.deleted:
				delete(all[i], k)
			default:
				all[i][k] = kept{e.at, digestOf(e.value)}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	x.Keys = len(all[0])
	for i, other := range []int{1, 0} {
		err := x.each(ctx, i, nil, func(e entry) (bool, error) {
			k := digestOf(e.key)
			mine, has := all[i][k]
			if e.main > x.Compacted || !has || mine.at != e.at || mine == all[other][k] {
				return e.main <= x.Compacted, nil
			}
			return false, fmt.Errorf("%w: the key %q of revision %d is not the same in both", ErrDifferent, e.key, e.main)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls visit for the entries of a database from a revision on, until it returns false.
func (x *comparison) each(ctx context.Context, i int, from []byte, visit func(entry) (bool, error)) error {
	c := x.tx[i].Bucket([]byte(keys)).Cursor()
	n := 0
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err := readEntry(k, v)
		more := false
		if err == nil {
			more, err = visit(e)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// changes compares everything after the compaction, side by side.
func (x *comparison) changes(ctx context.Context) error {
	from := revisionKey(Record{Revision: x.Compacted + 1}, 0)
	other := x.tx[1].Bucket([]byte(keys)).Cursor()
	k, v := other.Seek(from)
	err := x.each(ctx, 0, from, func(e entry) (bool, error) {
		if !bytes.Equal(e.revision, k) || !bytes.Equal(e.value, v) {
			return false, fmt.Errorf("%w: the key %q was changed in revision %d, and the other database does not have that change as it is", ErrDifferent, e.key, e.main)
		}
		x.Changes++
		k, v = other.Next()
		return true, nil
	})
	if err == nil && k != nil {
		r, parseErr := snapshot.ParseRevision(k)
		err = errors.Join(fmt.Errorf("%w: only the next snapshot has the changes from revision %d on", ErrDifferent, r.Main), parseErr)
	}
	return err
}
