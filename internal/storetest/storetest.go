// Package storetest is what every store of snapshots has in common, as tests: the directory and the bucket run the same ones, so
// that what is brought from one to the other means the same in both.
package storetest

import (
	"context"
	"io"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Store keeps archives under their names. Errors of one that is not there wrap snapshot.ErrNotFound.
type Store interface {
	// Put stores the first size bytes of r. It returns nil only when they are a whole archive and all of it has arrived;
	// otherwise nothing of it is left. r is read by several goroutines, and from its beginning more than once.
	Put(ctx context.Context, n snapshot.Name, r io.ReaderAt, size int64) error
	// List gives all snapshots, newest first.
	List(ctx context.Context) ([]snapshot.Entry, error)
	// Get gives one from its first byte to its last, and their number.
	Get(ctx context.Context, n snapshot.Name) (io.ReadCloser, int64, error)
	// Tail gives the last snapshot.TailSize bytes of one, or all when there are fewer, and the number of all.
	Tail(ctx context.Context, n snapshot.Name) ([]byte, int64, error)
	Remove(ctx context.Context, n snapshot.Name) error

	// Plant puts a file or an object where the snapshots lie, past the store.
	Plant(ctx context.Context, key string, data []byte) error
	// Keys names all that lies there, also what is no snapshot, sorted.
	Keys(ctx context.Context) ([]string, error)
}

// Sample is a whole archive with its name.
type Sample struct {
	Name snapshot.Name
	Data []byte
}

// Run tests a store; open gives a new and empty one. The samples are put beside those whose size matters everywhere.
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
	} {
		t.Run(c.name, func(t *testing.T) { c.test(bed{t, open(t)}) })
	}
}
