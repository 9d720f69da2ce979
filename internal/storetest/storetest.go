// Package storetest has the tests that every store of snapshots must pass. The directory and the buckets run the same tests, so that
// a snapshot means the same in each of them.
package storetest

import (
	"context"
	"io"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Store stores archives under their names. The error for a missing one wraps snapshot.ErrNotFound.
type Store interface {
	// Put stores the first size bytes of r. It returns nil only if they are an intact archive and all of it is stored; otherwise
	// nothing of it remains. r is read by several goroutines, and from its beginning more than once.
	Put(ctx context.Context, n snapshot.Name, r io.ReaderAt, size int64) error
	// List returns all snapshots, newest first.
	List(ctx context.Context) ([]snapshot.Entry, error)
	// Get returns a reader of one snapshot and its size.
	Get(ctx context.Context, n snapshot.Name) (io.ReadCloser, int64, error)
	// Tail returns the last snapshot.TailSize bytes of one snapshot, or all if there are fewer, and its size.
	Tail(ctx context.Context, n snapshot.Name) ([]byte, int64, error)
	Remove(ctx context.Context, n snapshot.Name) error

	// PutSegment stores a complete segment of the journal.
	PutSegment(ctx context.Context, n snapshot.SegmentName, data []byte) error
	// Segments returns the segments of some nodes in the order of their first revisions; nil: of all nodes.
	Segments(ctx context.Context, nodes []string) ([]snapshot.SegmentEntry, error)
	GetSegment(ctx context.Context, n snapshot.SegmentName) (io.ReadCloser, int64, error)
	RemoveSegment(ctx context.Context, n snapshot.SegmentName) error

	// Plant puts a file or an object directly into the place of the snapshots, not through the store.
	Plant(ctx context.Context, key string, data []byte) error
	// Keys returns the names of all files or objects there, also foreign ones, sorted.
	Keys(ctx context.Context) ([]string, error)
}

// Sample is an intact archive with its name.
type Sample struct {
	Name snapshot.Name
	Data []byte
}

// Run tests a store; open returns a new, empty one. The samples are tested in addition to the sizes that matter for every store.
func Run(t *testing.T, open func(*testing.T) Store, more ...Sample) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(bed)
	}{
		{"empty", empty},
		{"sizes", func(b bed) { b.allSizes(more) }},
		{"order", order},
		{"foreign", foreign},
		{"remove", remove},
		{"put again", putAgain},
		{"wrong size", wrongSize},
		{"damaged", damaged},
		{"broken source", brokenSource},
		{"canceled", canceled},
		{"at once", atOnce},
		{"segments", segments},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(bed{t, open(t)}) })
	}
}
