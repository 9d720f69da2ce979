package browse

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"etcd-rolling-backup/snapshot"
)

// latest is the last change of one key.
type latest struct {
	key      string // a copy: to sort in the file, whose pages are far apart, takes ten times longer
	raw      []byte // of the last value, in the mapped file
	revision int64
	deleted  bool
	lost     bool // it is deleted, and its last value was compacted
}

// index finds the last change of each key.
type index struct {
	oldest int64
	at     map[string]int
	all    []latest
}

func (i *index) add(x change) {
	at, known := i.at[string(x.key)]
	if !known {
		key := string(x.key)
		i.at[key] = len(i.all)
		i.all = append(i.all, latest{key, x.raw, x.at.Main, x.at.Tombstone, x.at.Tombstone})
		return
	}
	before := &i.all[at]
	before.revision = x.at.Main
	if x.at.Tombstone {
		// The value before a deletion is readable at the revision before it.
		before.lost = before.deleted || x.at.Main <= i.oldest
	} else {
		before.raw = x.raw
	}
	before.deleted = x.at.Tombstone
}

// List is what there is at one revision, ordered by key as etcd orders them. It is valid until the DB is closed.
type List struct {
	revision int64
	all      []latest
	next     int
}

// List returns the keys with the prefix that exist at the revision; 0 is the newest one. Errors wrap ErrRevision.
func (d *DB) List(ctx context.Context, prefix []byte, revision int64) (*List, error) {
	return d.list(ctx, prefix, revision, func(l latest) bool { return !l.deleted })
}

// Deleted returns the keys with the prefix that do not exist at the revision and were deleted after the oldest one that is retained.
func (d *DB) Deleted(ctx context.Context, prefix []byte, revision int64) (*List, error) {
	return d.list(ctx, prefix, revision, func(l latest) bool { return l.deleted && l.revision >= d.retained.Oldest })
}

func (d *DB) list(ctx context.Context, prefix []byte, revision int64, wanted func(latest) bool) (*List, error) {
	revision, err := d.At(revision)
	if err != nil {
		return nil, err
	}
	i := &index{oldest: d.retained.Oldest, at: map[string]int{}}
	err = snapshot.Guard(func() error {
		err := d.scan(ctx, prefix, revision, func(x change) error {
			i.add(x)
			return nil
		})
		if err != nil {
			return err
		}
		i.at = nil
		i.all = slices.DeleteFunc(i.all, func(l latest) bool { return !wanted(l) })
		slices.SortFunc(i.all, func(a, b latest) int { return strings.Compare(a.key, b.key) })
		return nil
	})
	return &List{revision: revision, all: i.all}, err
}

// Revision is the one that the list is of.
func (l *List) Revision() int64 { return l.revision }

// Len returns the number of keys.
func (l *List) Len() int { return len(l.all) }

// Keys returns the keys alone, in order.
func (l *List) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, x := range l.all {
			if !yield(x.key) {
				return
			}
		}
	}
}

// Next returns the next key, whose bytes are in the mapped file; false: there is none. The caller is within a snapshot.Guard.
func (l *List) Next(context.Context) (kv KeyValue, ok bool, err error) {
	if l.next == len(l.all) {
		return kv, false, nil
	}
	x := l.all[l.next]
	l.next++
	kv, err = x.keyValue()
	return kv, err == nil, err
}

// Each calls visit for each key, in order. The bytes are valid during the call.
func (l *List) Each(ctx context.Context, visit func(KeyValue) error) error {
	return l.each(ctx, func(_ latest, kv KeyValue) error { return visit(kv) })
}

// Find returns one key of the list. Errors wrap ErrNoKey.
func (l *List) Find(key string) (kv KeyValue, err error) {
	i, found := slices.BinarySearchFunc(l.all, key, func(x latest, key string) int { return strings.Compare(x.key, key) })
	if !found {
		return kv, fmt.Errorf("%w: %q at revision %d", ErrNoKey, key, l.revision)
	}
	err = snapshot.Guard(func() error {
		kv, err = l.all[i].keyValue()
		kv = kv.clone()
		return err
	})
	return kv, err
}

// keyValue reads all of an entry.
func (x latest) keyValue() (KeyValue, error) {
	kv, err := parse(x.raw)
	if err != nil {
		err = fmt.Errorf("%w: etcd can't read the entry of revision %d: %w", snapshot.ErrDamaged, x.revision, err)
	}
	return kv, err
}

// Deletion is a key that was deleted.
type Deletion struct {
	Key      []byte
	Revision int64    // of the deletion
	Last     KeyValue // its last value, which is readable at the revision before; without a key if that was compacted
}

// EachDeletion is Each for a list of deleted keys.
func (l *List) EachDeletion(ctx context.Context, visit func(Deletion) error) error {
	return l.each(ctx, func(x latest, kv KeyValue) error {
		d := Deletion{Key: kv.Key, Revision: x.revision, Last: kv}
		if x.lost {
			d.Last = KeyValue{}
		}
		return visit(d)
	})
}

// Deletion says how a key was deleted that does not exist at the revision; false: nothing is known of it.
func (d *DB) Deletion(ctx context.Context, key []byte, revision int64) (x Deletion, found bool, err error) {
	l, err := d.Deleted(ctx, key, revision)
	if err != nil {
		return x, false, err
	}
	err = l.EachDeletion(ctx, func(each Deletion) error {
		if bytes.Equal(each.Key, key) {
			x, found = each, true
			x.Key, x.Last = bytes.Clone(x.Key), x.Last.clone()
		}
		return nil
	})
	return x, found, err
}

func (l *List) each(ctx context.Context, visit func(latest, KeyValue) error) error {
	return snapshot.Guard(func() error {
		for i, x := range l.all {
			if i%pollEvery == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			kv, err := x.keyValue()
			if err != nil {
				return err
			}
			if err := visit(x, kv); err != nil {
				return err
			}
		}
		return nil
	})
}
