package browse

import (
	"bytes"
	"context"
	"fmt"

	"etcd-rolling-backup/snapshot"
)

// pollEvery is after how many entries a scan asks whether it was canceled.
const pollEvery = 4096

// scan calls see for each change up to the revision, the oldest first, of the keys with the prefix. What it gets is in the mapped file.
// The caller is within a Guard.
func (d *DB) scan(ctx context.Context, prefix []byte, revision int64, see func(change) error) error {
	c := d.keys.Cursor()
	entries := 0
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if entries++; entries%pollEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		x, err := readChange(k, v)
		if err != nil {
			return err
		}
		if x.at.Main > revision {
			return nil
		}
		if len(x.key) == 0 || !bytes.HasPrefix(x.key, prefix) {
			continue
		}
		if err := see(x); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Get returns a key as it is at the revision; 0 is the newest one. Errors wrap ErrNoKey or ErrRevision.
func (d *DB) Get(ctx context.Context, key []byte, revision int64) (kv KeyValue, err error) {
	if revision, err = d.At(revision); err != nil {
		return kv, err
	}
	err = snapshot.Guard(func() error {
		last, found := change{}, false
		err := d.scan(ctx, key, revision, func(x change) error {
			if len(x.key) == len(key) {
				last, found = x, !x.at.Tombstone
			}
			return nil
		})
		if err != nil || !found {
			return err
		}
		kv, err = last.keyValue()
		kv = kv.clone()
		return err
	})
	if err == nil && kv.Key == nil {
		err = fmt.Errorf("%w: %q at revision %d", ErrNoKey, key, revision)
	}
	return kv, err
}

// keyValue reads all of an entry.
func (x change) keyValue() (KeyValue, error) {
	kv, err := parse(x.raw)
	if err != nil {
		err = fmt.Errorf("%w: etcd can't read the entry of revision %d.%d: %w", snapshot.ErrDamaged, x.at.Main, x.at.Sub, err)
	}
	return kv, err
}

// Change is one revision of a key.
type Change struct {
	KeyValue
	Revision int64
	Deleted  bool // KeyValue has the key only
}

// History calls visit for each revision of a key that the snapshot retains, the oldest first: the state at the oldest retained revision,
// and every change after it. The Change is valid during the call.
func (d *DB) History(ctx context.Context, key []byte, visit func(Change) error) error {
	return snapshot.Guard(func() error {
		var base change // the last one up to the oldest retained revision
		show := func(x change) error {
			kv, err := x.keyValue()
			if err != nil {
				return err
			}
			return visit(Change{KeyValue: kv, Revision: x.at.Main, Deleted: x.at.Tombstone})
		}
		flush := func() error {
			x := base
			base = change{}
			if x.raw == nil || x.at.Tombstone && x.at.Main < d.retained.Oldest {
				return nil
			}
			return show(x)
		}
		err := d.scan(ctx, key, d.retained.Newest, func(x change) error {
			switch {
			case len(x.key) != len(key):
				return nil
			case x.at.Main <= d.retained.Oldest:
				base = x
				return nil
			}
			if err := flush(); err != nil {
				return err
			}
			return show(x)
		})
		if err != nil {
			return err
		}
		return flush()
	})
}
