package journal

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
)

// Merged describes the database that Merge made.
type Merged struct {
	Base      int64 // the newest revision of the snapshot
	Revision  int64 // the newest one of the database
	Compacted int64 // the database has what a compaction at this revision keeps; 0: nothing was compacted
	Events    int64 // of the journal
	Leases    int   // that were added
}

// Merge changes the database of a snapshot to what it was at a later revision, with the changes of the journal. It closes the file and does not sync it;
// after an error, its content is of no use. snapshot.CheckDatabase has accepted it. The segments must continue the snapshot, as Follow chooses them.
//
// Of each key it keeps a digest and a revision, 50 to 100 bytes, and of values three transactions and maxValues. Errors wrap ErrGap,
// ErrRevision or snapshot.ErrDamaged, or are a SegmentError.
func Merge(ctx context.Context, database *os.File, chain []*Segment, revision int64) (m Merged, err error) {
	err = snapshot.Guard(func() error {
		db, err := snapshot.ChangeDatabase(database)
		if err != nil {
			return err
		}
		g := &merge{db: db, chain: chain, leased: map[keyDigest]int64{}, ttl: map[int64]int64{}}
		defer func() { m = g.Merged }()
		return errors.Join(g.run(ctx, revision), db.Close())
	})
	return m, err
}

// ErrRevision marks a revision that the snapshot and the journal do not reach, or that is before the snapshot's.
var ErrRevision = errors.New("the journal does not reach this revision")

// Buckets and names of etcd's database.
const (
	keys      = "key"
	meta      = "meta"
	lease     = "lease"
	finished  = "finishedCompactRev"
	scheduled = "scheduledCompactRev"
)

type merge struct {
	Merged
	db     *bbolt.DB
	out    *output
	chain  []*Segment
	old    map[keyDigest]at    // the last change of each key up to a new compaction, in the snapshot; nil: there is none
	new    map[keyDigest]at    // the same in the journal; zero for a deletion that the compaction removes
	leased map[keyDigest]int64 // the lease of each key that has one
	ttl    map[int64]int64     // seconds, of the leases in the journal
}

func (g *merge) run(ctx context.Context, revision int64) error {
	begin, err := g.begin(revision)
	if err != nil {
		return err
	}
	g.out = newOutput(g.db)
	err = g.compact(ctx, begin)
	if err := errors.Join(err, g.out.close()); err != nil {
		return err
	}
	g.db.NoFreelistSync = false // so that who opens it to write need not look for free pages in all of it
	if err := g.db.Update(g.others); err != nil {
		return writing(err)
	}
	return nil
}

// join is where the journal begins to count: the end of a snapshot.
type join struct {
	revision  int64  // the newest one
	digest    string // of its events; "": some of them may be gone
	compacted int64  // up to which the snapshot is compacted
}

func joinOf(tx *bbolt.Tx) (j join, err error) {
	for _, name := range []string{finished, scheduled} {
		if v := tx.Bucket([]byte(meta)).Get([]byte(name)); v != nil {
			r, err := snapshot.ParseRevision(v)
			if err != nil {
				return j, fmt.Errorf("%w: %s: %w", snapshot.ErrDamaged, name, err)
			}
			j.compacted = max(j.compacted, r.Main)
		}
	}
	j.revision, j.digest, err = lastOf(tx.Bucket([]byte(keys)))
	if j.revision <= j.compacted {
		j.revision, j.digest = j.compacted, ""
	}
	j.revision = max(j.revision, 1) // as an empty etcd
	return j, err
}

// begin finds out where the snapshot ends, and which compaction to repeat: the newest one before the revision.
func (g *merge) begin(revision int64) (j join, err error) {
	err = g.db.View(func(tx *bbolt.Tx) (err error) {
		j, err = joinOf(tx)
		return err
	})
	if err != nil {
		return j, err
	}
	g.Base, g.Revision, g.Compacted = j.revision, j.revision, j.compacted
	for _, s := range g.chain {
		g.Revision = max(g.Revision, s.Last)
	}
	switch {
	case revision == 0:
	case revision < g.Base || revision > g.Revision:
		return j, fmt.Errorf("%w: %d is not between %d and %d", ErrRevision, revision, g.Base, g.Revision)
	default:
		g.Revision = revision
	}
	for _, s := range g.chain {
		if s.Last <= g.Revision && s.Compacted <= g.Revision && s.Compacted > g.Compacted {
			g.Compacted, g.old, g.new = s.Compacted, map[keyDigest]at{}, map[keyDigest]at{}
		}
	}
	return j, nil
}

// lastOf returns the newest revision of the bucket and its digest.
func lastOf(b *bbolt.Bucket) (int64, string, error) {
	var d digest
	k, _ := b.Cursor().Last()
	if k == nil {
		return 0, "", nil
	}
	newest, err := snapshot.ParseRevision(k)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", snapshot.ErrDamaged, err)
	}
	c := b.Cursor()
	for k, v := c.Seek(at{main: newest.Main}.key(false)); k != nil; k, v = c.Next() {
		e, err := readEntry(k, v)
		if err != nil {
			return 0, "", err
		}
		if e.deleted {
			d.add(Record{Kind: KindDelete, Revision: newest.Main, Data: e.key})
		} else {
			d.add(Record{Kind: KindPut, Revision: newest.Main, Data: v})
		}
	}
	return newest.Main, d.String(), nil
}

// eachNew calls visit for each event of the journal up to the revision. It reads all of the segments, so that their digests are compared.
func (g *merge) eachNew(ctx context.Context, j join, visit func(entry) error) error {
	main, sub := g.Base, int64(0)
	g.Events = 0
	return follow(ctx, g.chain, j.revision, j.digest, func(r Record) error {
		if r.Kind == KindLease {
			g.ttl[r.Lease] = max(r.TTL, g.ttl[r.Lease])
		}
		if !r.event() || r.Revision > g.Revision {
			return nil
		}
		if sub++; r.Revision != main {
			main, sub = r.Revision, 0
		}
		g.Events++
		e, err := eventEntry(r, sub)
		if err == nil {
			err = visit(e)
		}
		return err
	})
}

// kept reports that the compaction keeps an event, or that it is after it.
func (g *merge) kept(e entry, k keyDigest) bool { return e.main > g.Compacted || g.new[k] == e.at }

func (g *merge) write(e entry) error {
	k := digestOf(e.key)
	g.lease(e, k)
	if !g.kept(e, k) {
		return nil
	}
	return g.out.put(e.revision, e.value)
}

// lease notes the lease of a key.
func (g *merge) lease(e entry, k keyDigest) {
	if e.lease != 0 && !e.deleted {
		g.leased[k] = e.lease
	} else {
		delete(g.leased, k)
	}
}

// others changes the other buckets.
func (g *merge) others(tx *bbolt.Tx) error {
	if g.old != nil {
		b, err := tx.CreateBucketIfNotExists([]byte(meta))
		if err != nil {
			return err
		}
		revision := at{main: g.Compacted}.key(false)
		if err := errors.Join(b.Put([]byte(finished), revision), b.Put([]byte(scheduled), revision)); err != nil {
			return err
		}
	}
	return errors.Join(noSpace(tx), g.leases(tx))
}

// noSpace removes the alarms that would make the restored cluster read-only: it may be smaller, and is defragmented.
func noSpace(tx *bbolt.Tx) error {
	alarms := tx.Bucket([]byte("alarm"))
	if alarms == nil {
		return nil
	}
	var found [][]byte
	err := alarms.ForEach(func(k, _ []byte) error {
		var a etcdserverpb.AlarmMember
		if proto.Unmarshal(k, &a) == nil && a.Alarm == etcdserverpb.AlarmType_NOSPACE {
			found = append(found, k)
		}
		return nil
	})
	for _, k := range found {
		err = errors.Join(err, alarms.Delete(k))
	}
	return err
}
