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
	// Merge writes the new database to out, which is empty, and closes both files. base has been checked.
	Merge func(ctx context.Context, base, out *os.File) error
}

// merge replaces the snapshot's database by that of the later moment.
func (p *Plan) merge(ctx context.Context, base content) (content, error) {
	out, err := snapshot.NewDir(p.data.parent()).Scratch()
	if err != nil {
		return base, fmt.Errorf("create a file for the database: %w", err)
	}
	from, to, err := duplicates(p.scratch, out)
	if err == nil {
		err = p.o.Journal.Merge(ctx, from, to)
	}
	p.Close()
	p.scratch = out
	if err != nil {
		return base, fmt.Errorf("apply the journal: %w", err)
	}
	size, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return base, err
	}
	p.Database.Size = size
	db, err := snapshot.Duplicate(out)
	if err != nil {
		return base, err
	}
	// Its pages are not verified here: it was written from what was verified, and what etcd's library makes of it is verified.
	found, err := lookInto(ctx, db, func(context.Context, *os.File, *bbolt.Tx) error { return nil })
	if err == nil && found.begins(0) != p.o.Journal.Revision {
		err = fmt.Errorf("apply the journal: the database ends at revision %d, not at %d", found.begins(0), p.o.Journal.Revision)
	}
	return found, err
}

func duplicates(a, b *os.File) (x, y *os.File, err error) {
	if x, err = snapshot.Duplicate(a); err == nil {
		if y, err = snapshot.Duplicate(b); err != nil {
			_ = x.Close()
		}
	}
	return x, y, err
}
