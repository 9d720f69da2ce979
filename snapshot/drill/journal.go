package drill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/journal"
)

// Journal continues the snapshot of a drill. Its errors may wrap journal.ErrGap, journal.ErrHistory or journal.ErrRevision.
type Journal struct {
	File     *os.File // segments, as journal.Bundle copies them; the child reads it, and Start does not close it
	Sections []journal.Section
	Revision int64 // up to which it is applied; 0: all
	Size     int64 // of the records, bytes
	// Base, if set, is a snapshot from before the one that is drilled: nothing is restored then. Instead it is continued by the journal up to the other
	// one's revision, and must have the same keys, revisions and values. If not, the error wraps journal.ErrDifferent.
	Base     *os.File
	BaseSize int64 // of its database, bytes
}

// Continued says what came of the journal.
type Continued struct {
	Base     int64 `json:"base"`     // the revision of the snapshot before it
	Revision int64 `json:"revision"` // up to which it was applied
	Events   int64 `json:"events"`
	// Keys and Resources are those of the snapshot before it.
	Keys      int64            `json:"keys"`
	Resources map[string]int64 `json:"resources,omitzero"`
}

// The files that only a journal needs, in options.dir.
const (
	mergedFile = "merged.db"
	nextFile   = "next.db"
)

// merge continues the snapshot.
func (d *drill) merge(ctx context.Context) error {
	if d.journal == nil {
		return nil
	}
	m, err := d.apply(ctx, d.database(), d.order.Revision)
	if err != nil {
		return err
	}
	if err := os.Rename(d.path(mergedFile), d.database()); err != nil {
		return err
	}
	d.result.Journal = &Continued{Base: m.Base, Revision: m.Revision, Events: m.Events, Keys: int64(d.report.Keys), Resources: d.report.Resources}
	f, err := os.Open(d.database())
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		d.report.RawSize = info.Size()
		d.report.Database, err = snapshot.Inspect(ctx, f)
	}
	_ = f.Close() // it was only read
	return err
}

func (d *drill) path(name string) string { return filepath.Join(d.dir, name) }

// apply merges a database and the journal into a new file.
func (d *drill) apply(ctx context.Context, base string, revision int64) (m journal.Merged, err error) {
	chain, err := journal.OpenBundle(ctx, d.journal, d.order.Sections)
	if err != nil {
		return m, fmt.Errorf("the journal: %w", err)
	}
	if of := d.report.Manifest; of != nil && len(chain) > 0 && chain[0].ClusterID != of.ClusterID { // a merge does not know the snapshot's
		return m, fmt.Errorf("the journal: %w: it is of the cluster %s, and the snapshot of %s", journal.ErrHistory, chain[0].ClusterID, of.ClusterID)
	}
	from, err := os.Open(base)
	if err != nil {
		return m, err
	}
	to, err := os.OpenFile(d.path(mergedFile), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		_ = from.Close() // it was not read
		return m, err
	}
	m, err = journal.Merge(ctx, from, chain, revision, to)
	if err == nil && m.Base > m.Revision {
		err = fmt.Errorf("%w: the snapshot goes on to revision %d", journal.ErrRevision, m.Base)
	}
	if err != nil {
		return m, fmt.Errorf("the journal: %w", err)
	}
	return m, nil
}

// prove continues the snapshot before the archive up to the archive's revision, and compares both.
func (d *drill) prove(ctx context.Context) error {
	if err := d.unpackTo(ctx, d.archive, nextFile); err != nil {
		return err
	}
	next, err := os.Open(d.path(nextFile))
	if err != nil {
		return err
	}
	revision, _, err := journal.Newest(next)
	if err != nil {
		return err
	}
	if err := d.unpackTo(ctx, d.base, databaseFile); err != nil {
		return fmt.Errorf("the snapshot before it: %w", err)
	}
	m, err := d.apply(ctx, d.database(), revision)
	if err != nil {
		return err
	}
	d.result.Revision, d.result.Journal = revision, &Continued{Base: m.Base, Revision: m.Revision, Events: m.Events}
	merged, err := os.Open(d.path(mergedFile))
	if err != nil {
		return err
	}
	if next, err = os.Open(d.path(nextFile)); err != nil {
		_ = merged.Close() // it was not read
		return err
	}
	c, err := journal.Compare(ctx, merged, next)
	d.result.Keys = int64(c.Keys)
	return err
}

func (d *drill) unpackTo(ctx context.Context, archive *os.File, name string) error {
	db, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	d.report, err = input.VerifyInto(ctx, archive, db, snapshot.NewDir(d.place), d.minFree, nil)
	if err != nil {
		return err
	}
	return enoughMemory(needsMemory(d.report.RawSize, int64(d.report.Keys)))
}

// journalSize is that of the segments, bytes.
func (o order) journalSize() (n int64) {
	for _, s := range o.Sections {
		n += s.Size
	}
	return n
}
