package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
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
	return r, a.Manifest.CheckRevision(r.Revision)
}

// CheckRevision demands that a database whose last revision is this one has what etcd had when the snapshot was begun: otherwise it is of another etcd than
// the manifest says. All commands that read a database go by its verdict. Errors wrap ErrDamaged.
func (m Manifest) CheckRevision(last int64) error {
	if last < m.Revision {
		return fmt.Errorf("%w: the last revision of the database is %d, before %d as in the manifest", ErrDamaged, last, m.Revision)
	}
	return nil
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
