package restore

import (
	"context"
	"fmt"
	"io"
	"os"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// Journal makes the database of a later moment out of the snapshot's.
type Journal struct {
	Revision int64 // that the database will have: a part of the cluster's token
	Size     int64 // by how many bytes it may be larger than the snapshot's
	// Merge changes the snapshot's database to the new one, and closes the file. It has been checked.
	Merge func(ctx context.Context, database *os.File) error
}

// merge changes the snapshot's database to that of the later moment.
func (p *Plan) merge(ctx context.Context, base content) (content, error) {
	db, err := snapshot.Duplicate(p.scratch)
	if err == nil {
		err = p.o.Journal.Merge(ctx, db)
	}
	if err != nil {
		return base, fmt.Errorf("apply the journal: %w", err)
	}
	size, err := p.scratch.Seek(0, io.SeekEnd)
	if err != nil {
		return base, err
	}
	p.Database.Size = size
	if db, err = snapshot.Duplicate(p.scratch); err != nil {
		return base, err
	}
	// Its pages are not verified here: it was written from what was verified, and what etcd's library makes of it is verified.
	found, err := lookInto(ctx, db, func(context.Context, *os.File, *bbolt.Tx) error { return nil })
	if err == nil && found.begins(0) != p.o.Journal.Revision {
		err = fmt.Errorf("apply the journal: the database ends at revision %d, not at %d", found.begins(0), p.o.Journal.Revision)
	}
	return found, err
}
