// Package journaltest tells tests what the journal in a directory has.
package journaltest

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Revision is Newest for a test.
func Revision(t testing.TB, dir string) int64 {
	t.Helper()
	newest, err := Newest(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return newest
}

// Newest is the newest revision in the journal, also in the segment that is being written; 0: it has none.
func Newest(ctx context.Context, dir string) (newest int64, err error) {
	return NewestSince(ctx, dir, time.Time{})
}

// NewestSince is Newest in the segments that were begun after a time: those from before a restore have higher revisions.
func NewestSince(ctx context.Context, dir string, since time.Time) (newest int64, err error) {
	store := snapshot.NewDir(dir)
	l, err := store.List()
	if errors.Is(err, fs.ErrNotExist) { // not made yet
		return 0, nil
	}
	for _, e := range l.Segments {
		if e.Name.Time.Before(since) {
			continue
		}
		last := e.Name.Last
		if !e.Name.Complete() && err == nil {
			var m journal.Manifest
			m, err = unfinished(ctx, store, e.Name)
			last = m.Last
		}
		newest = max(newest, last)
	}
	return newest, err
}

// Compacted is the newest compaction that the segment knows that is being written; 0: there is no such segment now.
func Compacted(ctx context.Context, dir string) (newest int64, err error) {
	store := snapshot.NewDir(dir)
	l, err := store.List()
	for _, e := range l.Segments {
		if !e.Name.Complete() && err == nil {
			var m journal.Manifest
			m, err = unfinished(ctx, store, e.Name)
			newest = max(newest, m.Compacted)
		}
	}
	return newest, err
}

func unfinished(ctx context.Context, store *snapshot.Dir, n snapshot.SegmentName) (m journal.Manifest, err error) {
	f, err := store.OpenSegment(n)
	if errors.Is(err, snapshot.ErrNotFound) { // completed meanwhile
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	s, err := journal.OpenFile(ctx, f, n)
	if errors.Is(err, journal.ErrEmpty) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	return s.Manifest, nil
}
