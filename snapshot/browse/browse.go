// Package browse reads single keys of a snapshot: as they are at its newest revision, or at any other that it retains.
//
// Invariants: the database is read only after its digest has matched and all its pages were proven, and it is never changed. A
// deleted key does not exist, also if an older value of it is in the file. Whatever is in the file, and whatever its disk does, leads to
// an error and never to a crash. Own memory grows with the number of keys that were asked for, not with their values.
package browse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

var (
	// ErrRevision marks a revision that the snapshot does not retain.
	ErrRevision = errors.New("revision not in the snapshot")
	// ErrNoKey marks a key that does not exist at the revision.
	ErrNoKey = errors.New("no such key")
)

// DB is the database of one snapshot. Only one goroutine may use it.
type DB struct {
	db       *bbolt.DB
	tx       *bbolt.Tx
	keys     *bbolt.Bucket
	retained Range
}

// Range is what a snapshot retains: the state at each of these revisions is known. What was before the oldest was compacted.
type Range struct {
	Oldest int64 `json:"oldest"`
	Newest int64 `json:"newest"`
}

// Source is a snapshot's file, which Open unpacks.
type Source struct {
	Input    *input.Input
	Scratch  *snapshot.Dir // whose disk gets the unpacked database
	MinFree  int64         // bytes that stay free there
	Progress func(done, total int64)
	// Continue makes the database of a later moment out of the snapshot's, which was checked, and closes both files; nil: it is read as it is.
	Continue func(ctx context.Context, base, out *os.File) error
}

// Proof is what vouches for the content.
type Proof struct {
	Digest bool  // etcd's digest matched; otherwise there was none, and only the pages were checked
	Damage error // of the file around an intact database; nil: none
}

// Open unpacks the database into an anonymous temporary file, compares its digest, and checks every page. Closing the DB removes the
// file. Errors are those of [input.Input.Unpack], or wrap snapshot.ErrDamaged.
func Open(ctx context.Context, s Source) (*DB, Proof, error) {
	f, err := s.Scratch.Scratch()
	if err != nil {
		return nil, Proof{}, err
	}
	u, err := s.Input.Unpack(ctx, s.Scratch.KeepFree(f, s.MinFree), input.Options{Undigested: true, Progress: s.Progress})
	if err != nil {
		return nil, Proof{}, errors.Join(err, f.Close())
	}
	if s.Continue != nil {
		if f, err = s.continued(ctx, f); err != nil {
			return nil, Proof{}, err
		}
	}
	d, err := OpenFile(ctx, f)
	if err != nil {
		return nil, Proof{}, err
	}
	if err := s.checkRevision(d); err != nil {
		return nil, Proof{}, errors.Join(err, d.Close())
	}
	return d, Proof{Digest: u.Verified, Damage: u.Damage}, nil
}

// checkRevision is [snapshot.Manifest.CheckRevision], if there is a manifest.
func (s Source) checkRevision(d *DB) error {
	if s.Input.Manifest == nil {
		return nil
	}
	return s.Input.Manifest.CheckRevision(d.retained.Newest)
}

// continued returns the database of the later moment in a temporary file. It closes base.
func (s Source) continued(ctx context.Context, base *os.File) (*os.File, error) {
	again, err := snapshot.Duplicate(base)
	if err == nil {
		err = snapshot.ViewDatabase(again, func(tx *bbolt.Tx) error {
			if err := snapshot.CheckDatabase(ctx, base, tx); err != nil {
				return err
			}
			d := &DB{tx: tx}
			return cmp.Or(d.describe(), s.checkRevision(d))
		})
	}
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	f, err := s.Scratch.Scratch()
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	out, err := snapshot.Duplicate(f)
	if err != nil {
		return nil, errors.Join(err, base.Close(), f.Close())
	}
	if err := s.Continue(ctx, base, out); err != nil {
		return nil, errors.Join(fmt.Errorf("apply the journal: %w", err), f.Close())
	}
	return f, nil
}

// OpenFile is Open for an unpacked database, whose digest is the caller's to compare. It takes over f, even after an error.
func OpenFile(ctx context.Context, f *os.File) (*DB, error) {
	d := &DB{}
	err := snapshot.Guard(func() (err error) {
		if d.db, err = snapshot.OpenDatabase(f); err != nil {
			return err
		}
		if d.tx, err = d.db.Begin(false); err != nil {
			return fmt.Errorf("read the database: %w", err)
		}
		if err := snapshot.VerifyPages(ctx, f, d.tx); err != nil {
			return err
		}
		return d.describe()
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// describe finds the bucket of the keys and the revisions that it retains.
func (d *DB) describe() error {
	d.keys = d.tx.Bucket([]byte("key"))
	meta := d.tx.Bucket([]byte("meta"))
	if d.keys == nil || meta == nil {
		return fmt.Errorf("%w: no bucket \"key\" or \"meta\": not an etcd database", snapshot.ErrDamaged)
	}
	// A scheduled compaction may have removed some revisions already.
	for _, name := range []string{"finishedCompactRev", "scheduledCompactRev"} {
		value := meta.Get([]byte(name))
		if value == nil {
			continue
		}
		r, err := snapshot.ParseRevision(value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", snapshot.ErrDamaged, name, err)
		}
		d.retained.Oldest = max(d.retained.Oldest, r.Main)
	}
	d.retained.Newest = max(d.retained.Oldest, 1) // an empty etcd is at revision 1
	last, _ := d.keys.Cursor().Last()
	if last != nil {
		r, err := snapshot.ParseRevision(last)
		if err != nil {
			return fmt.Errorf("%w: the last entry: %w", snapshot.ErrDamaged, err)
		}
		d.retained.Newest = max(d.retained.Newest, r.Main)
	}
	d.retained.Oldest = max(d.retained.Oldest, 1)
	return nil
}

// Retained returns the revisions that can be asked for.
func (d *DB) Retained() Range { return d.retained }

// At returns the revision that is meant: 0 is the newest. Errors wrap ErrRevision.
func (d *DB) At(revision int64) (int64, error) {
	r := d.retained
	switch {
	case revision == 0:
		return r.Newest, nil
	case revision < 0:
		return 0, fmt.Errorf("%w: %d is below 1: the snapshot has the revisions %d to %d", ErrRevision, revision, r.Oldest, r.Newest)
	case revision < r.Oldest:
		return 0, fmt.Errorf("%w: %d was compacted: the snapshot has the revisions %d to %d", ErrRevision, revision, r.Oldest, r.Newest)
	case revision > r.Newest:
		return 0, fmt.Errorf("%w: %d came later: the snapshot has the revisions %d to %d", ErrRevision, revision, r.Oldest, r.Newest)
	}
	return revision, nil
}

// Close ends the reading and removes the database.
func (d *DB) Close() error {
	if d.db == nil {
		return nil
	}
	var err error
	if d.tx != nil {
		err = d.tx.Rollback()
	}
	return errors.Join(err, d.db.Close())
}
