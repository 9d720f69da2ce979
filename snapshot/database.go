package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"
)

// Database is what lies in an etcd database. Hash, Keys and Size are those of "etcdutl snapshot status" (before etcd
// 3.6 that counts all entries as keys), and so is Revision as long as the bucket "key" is not empty.
type Database struct {
	Hash     uint32 // CRC-32C of all buckets' names, keys and values
	Revision int64  // the one that an etcd started on it begins with
	Keys     int    // that are alive at the newest revision
	Size     int64  // bytes in use
}

// maxPageErrors bounds how many of a broken database's faults are told.
const maxPageErrors = 3

// inspect lets bbolt check every page of the database in f and reads all of it. Whatever it stumbles over wraps
// ErrDamaged: the archive's digests fitted, so etcd's own file was broken when the snapshot was taken.
func inspect(ctx context.Context, f *os.File) (d Database, err error) {
	// A disk that fails under a mapping ends this read, not the process. Only bbolt's own check reads in a goroutine that
	// nothing can guard: it gets pages that provePages has just read.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: reading the database: %v", ErrDamaged, r)
		}
	}()
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		ReadOnly: true,
		OpenFile: func(string, int, fs.FileMode) (*os.File, error) { return f, nil },
	})
	switch {
	case errors.Is(err, syscall.ENOMEM): // the mapping did not fit: no fault of the archive's
		return d, fmt.Errorf("open the database: %w", err)
	case err != nil:
		return d, fmt.Errorf("%w: open the database: %w", ErrDamaged, err)
	}
	defer func() {
		if closeErr := db.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close the database: %w", closeErr)
		}
	}()
	err = db.View(func(tx *bbolt.Tx) error {
		if err := provePages(ctx, f, tx); err != nil {
			return err
		}
		if err := checkPages(ctx, tx); err != nil {
			return err
		}
		d.Size = tx.Size()
		return d.walk(ctx, tx)
	})
	return d, err
}

func checkPages(ctx context.Context, tx *bbolt.Tx) error {
	var faults []error
	more := 0
	// The channel must be read to its end, or the check hangs and with it closing the database.
	for fault := range tx.Check() {
		if len(faults) < maxPageErrors {
			faults = append(faults, fault)
		} else {
			more++
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: bbolt finds faults in the database's pages: %v and %d more", ErrDamaged, faults, more)
	}
	return context.Cause(ctx)
}

// walk hashes as etcdutl does: in the order of the file, bucket name first, then each key and value.
func (d *Database) walk(ctx context.Context, tx *bbolt.Tx) error {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if tx.Bucket([]byte("key")) == nil {
		return fmt.Errorf("%w: no bucket \"key\": this is no etcd database", ErrDamaged)
	}
	d.Revision = 1 // of an empty etcd
	alive := newKeySet()
	entries := 0
	err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		_, _ = h.Write(name) // a hash never fails
		isKeys, isMeta := string(name) == "key", string(name) == "meta"
		return b.ForEach(func(k, v []byte) error {
			if entries++; entries%4096 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			_, _ = h.Write(k)
			_, _ = h.Write(v)
			switch {
			case isKeys:
				return errors.Join(d.see(k), alive.see(k, v))
			case isMeta && string(k) == "finishedCompactRev":
				// A compaction may have removed the newest revision, a deletion.
				return d.see(v)
			}
			return nil
		})
	})
	d.Hash, d.Keys = h.Sum32(), len(alive.hashes)
	return err
}

// see takes a revision: the main one in 8 bytes big endian, "_", the sub revision, and "t" behind a deletion
// (etcd, server/storage/mvcc/revision.go).
func (d *Database) see(revision []byte) error {
	if len(revision) < 17 {
		return fmt.Errorf("%w: the database holds %x where a revision belongs", ErrDamaged, revision)
	}
	d.Revision = max(d.Revision, int64(binary.BigEndian.Uint64(revision))) //nolint:gosec // etcd's own type is int64
	return nil
}

// keySet counts the keys alive while the revisions go by, oldest first. It remembers hashes, for the keys of a large
// database take hundreds of megabytes; that two of a million share a 64-bit hash is as likely as 1 to 10^7.
type keySet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newKeySet() *keySet {
	return &keySet{seed: maphash.MakeSeed(), hashes: map[uint64]struct{}{}}
}

// see takes an entry of the bucket "key": a revision, and a protobuf mvccpb.KeyValue, whose field 1 is the key.
func (s *keySet) see(revision, value []byte) error {
	field, kind, n := protowire.ConsumeTag(value)
	if n < 0 || field != 1 || kind != protowire.BytesType {
		return fmt.Errorf("%w: the value of revision %x does not begin with a key", ErrDamaged, revision)
	}
	key, n := protowire.ConsumeBytes(value[n:])
	if n < 0 {
		return fmt.Errorf("%w: the key of revision %x is cut off", ErrDamaged, revision)
	}
	hash := maphash.Bytes(s.seed, key)
	if len(revision) == 18 && revision[17] == 't' {
		delete(s.hashes, hash)
	} else {
		s.hashes[hash] = struct{}{}
	}
	return nil
}
