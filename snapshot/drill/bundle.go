package drill

import (
	"errors"
	"fmt"
	"io"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// NewJournal makes the Journal of a drill, up to a revision. bundle copies segments into a temporary file in scratch, as journal.Bundle does, and returns the
// size of their records. The caller closes the file.
func NewJournal(scratch *snapshot.Dir, revision int64, bundle func(io.Writer) ([]journal.Section, int64, error)) (*Journal, error) {
	f, err := scratch.Scratch()
	if err != nil {
		return nil, err
	}
	sections, size, err := bundle(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the journal: %w", err), f.Close())
	}
	return &Journal{File: f, Sections: sections, Revision: revision, Size: size}, nil
}
