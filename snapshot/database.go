package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/maphash"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
)

// Database describes the content of an etcd database. Hash, Keys and Size are those of "etcdutl snapshot status" (before etcd 3.6
// it counts all entries as keys, and later also the empty key that etcdutl adds when it raises the revision, and etcd does not show). So
// is Revision, unless the last change was compacted.
type Database struct {
	Hash     uint32 // CRC-32C of all buckets' names, keys and values
	Revision int64  // the revision at which an etcd starts with this database
	Keys     int    // that exist at the newest revision: live keys, not revisions
	Size     int64  // bytes in use

	// Resources are the keys of each type of Kubernetes, by the beginning of the keys, such as /registry/pods; nil: there are too many types.
	Resources map[string]int64
}

// maxPageErrors limits how many faults of a broken database are reported.
const maxPageErrors = 3

// Inspect checks the database in f as [CheckDatabase] does, describes it, and closes f. bbolt checks the pages too, which takes several
// times longer: it should find nothing that was not found before.
func Inspect(ctx context.Context, f *os.File) (d Database, err error) {
	err = ViewDatabase(f, func(tx *bbolt.Tx) error {
		if err := VerifyPages(ctx, f, tx); err != nil {
			return err
		}
		if err := checkPages(ctx, tx); err != nil {
			return err
		}
		w := &walk{hash: crc32.New(crc32.MakeTable(crc32.Castagnoli)), alive: newKeySet()}
		err := w.all(ctx, tx)
		d = Database{ // an empty etcd is at revision 1
			Hash: w.hash.Sum32(), Revision: max(w.revision, 1), Keys: len(w.alive.hashes), Size: tx.Size(), Resources: w.alive.resources.existing(),
		}
		return err
	})
	return d, err
}

// CheckDatabase checks everything in the database in f, which tx is a transaction on: every page, with bounds on every step, and each
// entry that etcd decodes when it starts. All commands that read a database go by its verdict. Any fault wraps
// ErrDamaged: if etcd's digest matched, etcd's own file was already broken when the snapshot was taken.
func CheckDatabase(ctx context.Context, f *os.File, tx *bbolt.Tx) error {
	if err := VerifyPages(ctx, f, tx); err != nil {
		return err
	}
	return (&walk{}).all(ctx, tx)
}

// ViewDatabase lets bbolt read the database in f, and closes f. An invalid database wraps ErrDamaged.
func ViewDatabase(f *os.File, view func(*bbolt.Tx) error) (err error) {
	return Guard(func() error {
		db, err := OpenDatabase(f)
		if err != nil {
			return err
		}
		defer func() { err = cmp.Or(err, db.Close()) }()
		return db.View(view)
	})
}

// Guard calls read, which reads a database through a memory mapping. bbolt panics on invalid pages: that becomes an error that wraps
// ErrDamaged. So does a disk that fails under the mapping, in this goroutine: only bbolt's own check reads in one that nothing can
// protect. It reads pages that VerifyPages has just read.
func Guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: the database has an unreadable page%s", ErrDamaged, inWords(r))
		}
	}()
	return read()
}

// OpenDatabase opens the database in f to be read within a Guard. Closing it closes f, and so does an error. An invalid database wraps
// ErrDamaged.
func OpenDatabase(f *os.File) (*bbolt.DB, error) {
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		ReadOnly: true,
		OpenFile: func(string, int, fs.FileMode) (*os.File, error) { return f, nil },
	})
	errno, ofSystem := errors.AsType[syscall.Errno](err)
	switch {
	case ofSystem && (Unsupported(errno) || errno == syscall.ENODEV || errno == syscall.ENOLCK):
		return nil, fmt.Errorf("open the database: %w (the file system of %s can't lock files, or map them into memory: use a directory on a local disk)", err, f.Name())
	case ofSystem && errno != syscall.EBADF: // such as no memory for the mapping: the archive is not at fault; EBADF is an empty file
		return nil, fmt.Errorf("open the database: %w", err)
	case err != nil:
		return nil, fmt.Errorf("%w: open the database: %w", ErrDamaged, err)
	}
	return db, nil
}

// inWords adds what bbolt says of a page to an error; what Go's runtime says of it helps nobody.
func inWords(recovered any) string {
	if _, ofRuntime := recovered.(runtime.Error); ofRuntime {
		return ""
	}
	return ": " + strings.TrimPrefix(fmt.Sprint(recovered), "assertion failed: ")
}

func checkPages(ctx context.Context, tx *bbolt.Tx) error {
	var faults []string
	more := 0
	// Read the channel to its end; otherwise the check hangs, and closing the database with it.
	for fault := range tx.Check() {
		if len(faults) < maxPageErrors {
			faults = append(faults, strings.TrimPrefix(strings.TrimPrefix(fault.Error(), "panic: "), "assertion failed: "))
		} else {
			more++
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: bbolt reports faults in the database's pages: %s and %d more", ErrDamaged, strings.Join(faults, ", "), more)
	}
	return context.Cause(ctx)
}

// walk is one pass over all entries.
type walk struct {
	records
	hash  hash.Hash32 // as etcdutl's, in the order of the file: bucket name first, then each key and value; nil: not wanted
	alive *keySet     // nil: not wanted
}

func (w *walk) all(ctx context.Context, tx *bbolt.Tx) error {
	for _, name := range []string{"key", "meta"} {
		if tx.Bucket([]byte(name)) == nil {
			return fmt.Errorf("%w: no bucket %q: not an etcd database", ErrDamaged, name)
		}
	}
	entries := 0
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		w.feed(name)
		bucket := string(name)
		return b.ForEach(func(k, v []byte) error {
			if entries++; entries%4096 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			w.feed(k, v)
			key, err := w.check(bucket, k, v)
			if err == nil && len(key) > 0 && w.alive != nil {
				w.alive.see(k, key)
			}
			return err
		})
	})
}

func (w *walk) feed(parts ...[]byte) {
	if w.hash == nil {
		return
	}
	for _, p := range parts {
		_, _ = w.hash.Write(p) // a hash never fails
	}
}

// keySet counts the existing keys from the revisions, which come oldest first. It stores hashes, because the keys of a large
// database take hundreds of megabytes. That two of a million keys share a 64-bit hash has a probability of 1 in 10^7.
type keySet struct {
	seed      maphash.Seed
	hashes    map[uint64]struct{}
	resources resourceCounts
}

func newKeySet() *keySet {
	return &keySet{seed: maphash.MakeSeed(), hashes: map[uint64]struct{}{}, resources: resourceCounts{}}
}

// see takes the key of a change.
func (s *keySet) see(revision, key []byte) {
	hash := maphash.Bytes(s.seed, key)
	_, exists := s.hashes[hash]
	switch deleted := len(revision) == tombstoneLen; {
	case deleted && exists:
		delete(s.hashes, hash)
		s.resources.add(key, -1)
	case !deleted && !exists:
		s.hashes[hash] = struct{}{}
		s.resources.add(key, 1)
	}
}
