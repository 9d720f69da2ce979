package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"
)

// Report is what Verify found in an intact archive.
type Report struct {
	Manifest Manifest
	Size     int64 // of the archive, bytes
	Database
}

// Verify reads an archive without trusting any of it: the zstd data, the digests, then bbolt's check of every page, the revision
// and the keys of the decompressed database. It writes the database, followed by etcd's digest, to db, an empty file in scratch's file
// system, which keeps minFree bytes free. It closes db, even after an error. progress may be nil; it receives the decompressed bytes so
// far and in total. Errors wrap ErrDamaged if the archive is at fault.
func Verify(ctx context.Context, f, db *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (r Report, err error) {
	// bbolt closes the file too. The error of a second close means nothing.
	defer db.Close()
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	a, err := OpenArchive(f, info.Size())
	if err != nil {
		return r, err
	}
	r.Manifest, r.Size = a.Manifest, a.Size
	if err := unpack(ctx, a, scratch.KeepFree(db, minFree), progress); err != nil {
		return r, err
	}
	r.Database, err = Inspect(ctx, db)
	if err != nil {
		return r, err
	}
	if r.Revision < a.Manifest.Revision {
		return r, fmt.Errorf("%w: the last revision of the database is %d, before %d as in the manifest", ErrDamaged, r.Revision, a.Manifest.Revision)
	}
	return r, nil
}

// PageCachePiece is how many bytes of a database are written at a time. For larger writes newer kernels fill the page cache in
// blocks of megabytes. A virtual machine must first get those from its host, which makes writing several times slower.
const PageCachePiece = 32 << 10

// unpack copies all of an archive's data to w, which verifies its digests.
func unpack(ctx context.Context, a *Archive, w io.Writer, progress func(done, total int64)) (err error) {
	raw, err := a.Raw()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	out := writerFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		if err != nil {
			err = fmt.Errorf("unpack: %w", err)
		}
		return n, err
	})
	_, err = copyWithin(ctx, out, raw, PageCachePiece, a.Manifest.RawSize, progress)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Database describes the content of an etcd database. Hash, Keys and Size are those of "etcdutl snapshot status" (before etcd 3.6
// it counts all entries as keys). So is Revision, unless the bucket "key" is empty.
type Database struct {
	Hash     uint32 // CRC-32C of all buckets' names, keys and values
	Revision int64  // the revision at which an etcd starts with this database
	Keys     int    // that exist at the newest revision
	Size     int64  // bytes in use
}

// maxPageErrors limits how many faults of a broken database are reported.
const maxPageErrors = 3

// Inspect lets bbolt check every page of the database in f, reads all of it, and closes f. Any fault wraps ErrDamaged: if etcd's
// digest matched, etcd's own file was already broken when the snapshot was taken.
func Inspect(ctx context.Context, f *os.File) (d Database, err error) {
	err = ViewDatabase(f, func(tx *bbolt.Tx) error {
		if err := VerifyPages(ctx, f, tx); err != nil {
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

// ViewDatabase lets bbolt read the database in f, and closes f. An invalid database wraps ErrDamaged.
func ViewDatabase(f *os.File, view func(*bbolt.Tx) error) (err error) {
	// bbolt panics on invalid pages. If the disk fails under a memory mapping, this read fails and the process goes on. Only bbolt's
	// own check reads in a goroutine that nothing can protect. It reads pages that VerifyPages has just read.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: read the database: %v", ErrDamaged, r)
		}
	}()
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		ReadOnly: true,
		OpenFile: func(string, int, fs.FileMode) (*os.File, error) { return f, nil },
	})
	errno, ofSystem := errors.AsType[syscall.Errno](err)
	switch {
	case ofSystem && (Unsupported(errno) || errno == syscall.ENODEV || errno == syscall.ENOLCK):
		return fmt.Errorf("open the database: %w (the file system of %s can't lock files, or map them into memory: use a directory on a local disk)", err, f.Name())
	case ofSystem && errno != syscall.EBADF: // such as no memory for the mapping: the archive is not at fault; EBADF is an empty file
		return fmt.Errorf("open the database: %w", err)
	case err != nil:
		return fmt.Errorf("%w: open the database: %w", ErrDamaged, err)
	}
	defer func() { err = cmp.Or(err, db.Close()) }()
	return db.View(view)
}

func checkPages(ctx context.Context, tx *bbolt.Tx) error {
	var faults []error
	more := 0
	// Read the channel to its end; otherwise the check hangs, and closing the database with it.
	for fault := range tx.Check() {
		if len(faults) < maxPageErrors {
			faults = append(faults, fault)
		} else {
			more++
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: bbolt reports faults in the database's pages: %v and %d more", ErrDamaged, faults, more)
	}
	return context.Cause(ctx)
}

// walk hashes as etcdutl does: in the order of the file, bucket name first, then each key and value.
func (d *Database) walk(ctx context.Context, tx *bbolt.Tx) error {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if tx.Bucket([]byte("key")) == nil {
		return fmt.Errorf("%w: no bucket \"key\": not an etcd database", ErrDamaged)
	}
	d.Revision = 1 // of an empty etcd
	alive := &keySet{seed: maphash.MakeSeed(), hashes: map[uint64]struct{}{}}
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
				// A compaction may have removed the newest revision if it was a deletion.
				return d.see(v)
			}
			return nil
		})
	})
	d.Hash, d.Keys = h.Sum32(), len(alive.hashes)
	return err
}

// maxRevision is far more than an etcd reaches. Its type is int64, and a restore may raise it.
const maxRevision = math.MaxInt64 / 2

// see reads a revision: the main revision in 8 bytes big endian, "_", the sub revision, and "t" for a deletion (etcd,
// server/storage/mvcc/revision.go).
func (d *Database) see(revision []byte) error {
	if len(revision) < 17 {
		return fmt.Errorf("%w: the database has %x instead of a revision", ErrDamaged, revision)
	}
	main := binary.BigEndian.Uint64(revision)
	if main > maxRevision {
		return fmt.Errorf("%w: the database has the revision %d, which no etcd reaches", ErrDamaged, main)
	}
	d.Revision = max(d.Revision, int64(main))
	return nil
}

// keySet counts the existing keys from the revisions, which come oldest first. It stores hashes, because the keys of a large
// database take hundreds of megabytes. That two of a million keys share a 64-bit hash has a probability of 1 in 10^7.
type keySet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

// see reads an entry of the bucket "key": a revision, and a protobuf mvccpb.KeyValue, whose field 1 is the key.
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

// digestSize is the length of the SHA-256 that etcd sends after the database.
const digestSize = sha256.Size

// sectorSize divides the length of every bbolt database. etcdctl uses this to detect whether a digest follows.
const sectorSize = 512

var errDigest = errors.New("etcd's digest does not match the bytes before it")

// digest hashes a stream in etcd's format, a database followed by its digest, and compares the two. It holds back the last 32
// bytes, because they may be the digest.
type digest struct {
	sum  hash.Hash
	tail []byte // at most digestSize bytes, not yet in sum
	size int64
}

func newDigest() *digest {
	return &digest{sum: sha256.New(), tail: make([]byte, 0, digestSize)}
}

// Write never fails.
func (d *digest) Write(p []byte) (int, error) {
	n := len(p)
	d.size += int64(n)
	if n >= digestSize {
		d.sum.Write(d.tail)
		d.sum.Write(p[:n-digestSize])
		d.tail = append(d.tail[:0], p[n-digestSize:]...)
		return n, nil
	}
	if over := len(d.tail) + n - digestSize; over > 0 {
		d.sum.Write(d.tail[:over])
		d.tail = d.tail[:copy(d.tail, d.tail[over:])]
	}
	d.tail = append(d.tail, p...)
	return n, nil
}

// check reports whether the written bytes are a database and its digest. It returns the digest in hex.
func (d *digest) check() (string, error) {
	if d.size%sectorSize != digestSize || d.size == digestSize {
		return "", fmt.Errorf("%d bytes are not a database of complete %d-byte sectors followed by a %d-byte digest", d.size, sectorSize, digestSize)
	}
	got := d.sum.Sum(nil)
	if !bytes.Equal(got, d.tail) {
		return "", fmt.Errorf("%w: %x, not %x", errDigest, got, d.tail)
	}
	return hex.EncodeToString(got), nil
}
