// Package journaltest tells tests what the journal in a directory has.
package journaltest

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Newest is the newest revision in the journal, also in the segment that is being written; 0: it has none.
func Newest(t testing.TB, dir string) (newest int64) {
	t.Helper()
	store := snapshot.NewDir(dir)
	l, err := store.List()
	if errors.Is(err, fs.ErrNotExist) { // not made yet
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.Segments {
		last := e.Name.Last
		if !e.Name.Complete() {
			if last, err = newestOf(t.Context(), store, e.Name); err != nil {
				t.Fatal(err)
			}
		}
		newest = max(newest, last)
	}
	return newest
}

func newestOf(ctx context.Context, store *snapshot.Dir, n snapshot.SegmentName) (int64, error) {
	f, err := store.OpenSegment(n)
	if errors.Is(err, snapshot.ErrNotFound) { // completed meanwhile
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	s, err := journal.OpenPart(ctx, f, info.Size())
	if errors.Is(err, journal.ErrEmpty) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return s.Last, nil
}
