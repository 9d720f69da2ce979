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

// Merge writes the database of a snapshot with the changes of the journal up to a revision, 0: all, into the empty file out, which it closes and does not
// sync. Of a snapshot that is newer than the revision, it writes what was there at the revision, if that is not compacted: etcd goes on while its status and
// its database are read. base has been checked (snapshot.CheckDatabase) and is closed too. The segments must continue the snapshot, as Follow chooses them.
//
// Of each key it keeps a digest and a revision, 50 to 100 bytes, and of values three transactions and maxValues. Errors wrap ErrGap,
// ErrRevision or snapshot.ErrDamaged, or are a SegmentError.
func Merge(ctx context.Context, base *os.File, chain []*Segment, revision int64, out *os.File) (m Merged, err error) {
	err = snapshot.ViewDatabase(base, func(tx *bbolt.Tx) (err error) {
		w, err := newOutput(out, tx.Size())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }() // also if a page of base can't be read
		g := &merge{tx: tx, out: w, chain: chain, leased: map[keyDigest]int64{}, ttl: map[int64]int64{}}
		err = g.run(ctx, revision)
		m = g.Merged
		return err
	})
	return m, err
}

// ErrRevision marks a revision that the snapshot and the journal do not reach, or that the snapshot no longer has.
var ErrRevision = errors.New("the snapshot and the journal do not lead to this revision")

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
	tx     *bbolt.Tx
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
	if g.old == nil {
		err = g.each(ctx, begin, g.write)
	} else {
		err = g.compact(ctx, begin)
	}
	if err != nil {
		return err
	}
	return g.others()
}

// join is where the journal begins to count: the snapshot's newest revision and its digest.
type join struct {
	last      string
	compacted int64 // up to which the snapshot is compacted
}

// begin finds out where the snapshot ends, and which compaction to repeat: the newest one before the revision.
func (g *merge) begin(revision int64) (j join, err error) {
	for _, name := range []string{finished, scheduled} {
		if v := g.tx.Bucket([]byte(meta)).Get([]byte(name)); v != nil {
			r, err := snapshot.ParseRevision(v)
			if err != nil {
				return j, fmt.Errorf("%w: %s: %w", snapshot.ErrDamaged, name, err)
			}
			j.compacted = max(j.compacted, r.Main)
		}
	}
	g.Base, j.last, err = lastOf(g.tx.Bucket([]byte(keys)))
	if err != nil {
		return j, err
	}
	if g.Base <= j.compacted { // some of its events may be gone
		g.Base, j.last = j.compacted, ""
	}
	g.Base = max(g.Base, 1) // as an empty etcd
	g.Revision, g.Compacted = g.Base, j.compacted
	for _, s := range g.chain {
		g.Revision = max(g.Revision, s.Last)
	}
	switch {
	case revision == 0:
	case revision < g.Compacted, revision < 1:
		return j, fmt.Errorf("%w: %d is before revision %d, up to which the snapshot is compacted", ErrRevision, revision, g.Base)
	case revision < g.Base:
		g.Revision, g.chain = revision, nil
	case revision > g.Revision:
		return j, fmt.Errorf("%w: %d is after the end, revision %d", ErrRevision, revision, g.Revision)
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
	for k, v := c.Seek(revisionKey(Record{Revision: newest.Main}, 0)); k != nil; k, v = c.Next() {
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

// each calls visit for each entry of the snapshot, and then for each event of the journal.
func (g *merge) each(ctx context.Context, j join, visit func(entry) error) error {
	if err := g.eachOld(ctx, visit); err != nil {
		return err
	}
	return g.eachNew(ctx, j, visit)
}

// eachOld calls visit for each entry of the snapshot up to the revision.
func (g *merge) eachOld(ctx context.Context, visit func(entry) error) error {
	c := g.tx.Bucket([]byte(keys)).Cursor()
	n := 0
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err := readEntry(k, v)
		if err == nil && e.main > g.Revision {
			return nil
		}
		if err == nil {
			err = visit(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachNew calls visit for each event of the journal up to the revision. It reads all of the segments, so that their digests are compared.
func (g *merge) eachNew(ctx context.Context, j join, visit func(entry) error) error {
	main, sub := g.Base, int64(0)
	g.Events = 0
	return follow(ctx, g.chain, g.Base, j.last, func(r Record) error {
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

// index notes the last change of each key up to the compaction. etcd keeps a deletion only if it is at the revision of the compaction itself.
func (g *merge) index(last map[keyDigest]at, e entry) {
	switch k := digestOf(e.key); {
	case e.main > g.Compacted:
	case e.deleted && e.main < g.Compacted:
		last[k] = at{}
	default:
		last[k] = e.at
	}
}

// kept reports that the compaction keeps an entry, or that it is after it. The journal is newer than the snapshot.
func (g *merge) kept(e entry, k keyDigest) bool {
	if g.old == nil || e.main > g.Compacted {
		return true
	}
	last, changed := g.new[k]
	if !changed {
		last = g.old[k]
	}
	return last == e.at
}

func (g *merge) write(e entry) error {
	k := digestOf(e.key)
	if e.lease != 0 && !e.deleted {
		g.leased[k] = e.lease
	} else {
		delete(g.leased, k)
	}
	if !g.kept(e, k) {
		return nil
	}
	return g.out.put(keys, e.revision, e.value)
}

// others copies the other buckets.
func (g *merge) others() error {
	err := g.tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		if string(name) == keys {
			return nil
		}
		if err := g.out.bucket(string(name)); err != nil {
			return err
		}
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return fmt.Errorf("%w: a bucket in the bucket %q", snapshot.ErrDamaged, name)
			}
			if g.old != nil && string(name) == meta && (string(k) == finished || string(k) == scheduled) || noSpace(string(name), k) {
				return nil
			}
			return g.out.put(string(name), k, v)
		})
	})
	if err == nil && g.old != nil {
		at := revisionKey(Record{Revision: g.Compacted}, 0)
		err = errors.Join(g.out.put(meta, []byte(finished), at), g.out.put(meta, []byte(scheduled), at))
	}
	return errors.Join(err, g.leases())
}

// noSpace reports an alarm that would make the restored cluster read-only, though the merged database is smaller.
func noSpace(bucket string, key []byte) bool {
	var a etcdserverpb.AlarmMember
	return bucket == "alarm" && proto.Unmarshal(key, &a) == nil && a.Alarm == etcdserverpb.AlarmType_NOSPACE
}
