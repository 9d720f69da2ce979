// Package snapshot defines what a snapshot is: its name, its manifest, its archive file. It takes a snapshot from a member in a
// single pass, stores snapshots in a directory, and verifies them.
//
// Invariant: a file under its final name is complete, was compared with etcd's own digest, and is safe on the disk. A crash at
// any moment leaves at worst a partial file (NAME.part), which RemovePartials removes.
package snapshot

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Archive is an archive opened for reading. Its manifest has been checked against the footer's checksum. Its data is checked only
// when Raw is read to the end.
type Archive struct {
	Manifest Manifest
	Size     int64 // of the whole file, bytes

	r        io.ReaderAt
	dataSize int64
	zipped   bool   // the data is a zip, otherwise zstd
	tail     []byte // everything after the data

	// verify is for a file of another program, which has no manifest; nil: the archive is ours.
	verify func(ctx context.Context, a *Archive, progress func(done, total int64)) error
}

// OpenArchive reads the manifest from the end of an archive of size bytes. Errors wrap ErrDamaged, ErrFormat or ErrNoManifest, or come
// from r.
func OpenArchive(r io.ReaderAt, size int64) (*Archive, error) {
	if size == 0 {
		return nil, fmt.Errorf("%w: the file is empty", ErrDamaged)
	}
	tail := make([]byte, min(size, TailSize))
	if _, err := io.ReadFull(io.NewSectionReader(r, size-int64(len(tail)), int64(len(tail))), tail); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	e, err := decodeEnd(tail, size)
	if err != nil {
		return nil, err
	}
	behind := tail[int64(len(tail))-(size-e.dataSize):]
	return &Archive{Manifest: e.manifest, Size: size, r: r, dataSize: e.dataSize, zipped: e.zipped, tail: behind}, nil
}

// Zipped reports whether the archive is a zip, as rke-tools reads it.
func (a *Archive) Zipped() bool { return a.zipped }

// ReadAt reads from the archive's file, compressed.
func (a *Archive) ReadAt(p []byte, offset int64) (int, error) { return a.r.ReadAt(p, offset) }

// CRC32C returns the checksum of the whole file, computed from the manifest without reading the file. known is false for early
// archives, which do not have it.
func (a *Archive) CRC32C() (sum uint32, known bool) {
	return crc32cOf(a.Manifest.ArchiveCRC32C, a.tail)
}

// crc32cOf returns the CRC-32C of a file from that of its compressed data, 8 hex digits, and from everything behind the data. known is false
// if data does not have that form.
func crc32cOf(data string, behind []byte) (sum uint32, known bool) {
	b, err := hex.DecodeString(data)
	if err != nil || len(b) != crc32.Size {
		return 0, false
	}
	return crc32.Update(binary.BigEndian.Uint32(b), crc32.MakeTable(crc32.Castagnoli), behind), true
}

// Raw returns a reader of what etcd sent: the database followed by its digest, RawSize bytes. The last Read compares all digests
// and the sizes. io.EOF means that the archive is intact. Damage is an error that wraps ErrDamaged, and also ErrDatabaseIntact if
// all of the database was returned and matches etcd's digest. The caller closes the reader.
func (a *Archive) Raw() (io.ReadCloser, error) {
	return a.read(checksum{Hash: sha256.New(), name: "SHA-256", want: a.Manifest.ArchiveSHA256})
}

// Contents is Raw, but compares the archive's CRC-32C instead of its SHA-256 where the manifest has one, which saves a fifth of the
// time. The database is verified by etcd's digest all the same.
func (a *Archive) Contents() (io.ReadCloser, error) {
	if a.Manifest.ArchiveCRC32C == "" {
		return a.Raw()
	}
	return a.read(checksum{Hash: crc32.New(crc32.MakeTable(crc32.Castagnoli)), name: "CRC-32C", want: a.Manifest.ArchiveCRC32C})
}

// read decompresses. sum hashes the compressed bytes, so zstd need not hash the others.
func (a *Archive) read(sum checksum) (io.ReadCloser, error) {
	if !a.HasManifest() {
		return nil, ErrNoManifest
	}
	disk := &Disk{ReaderAt: a.r}
	data := io.TeeReader(io.NewSectionReader(disk, 0, a.dataSize), sum)
	raw, err := a.decompress(bufio.NewReaderSize(data, 256<<10)) // decoders read in small steps
	if err != nil {
		if disk.Err() != nil {
			err = fmt.Errorf("read archive: %w", disk.Err())
		}
		return nil, err
	}
	return &rawReader{archive: a, disk: disk, data: data, sum: sum, raw: raw, digest: newDigest()}, nil
}

// decompress returns the database and its digest. The decompressor reads r to the end of their compressed bytes at least.
func (a *Archive) decompress(r *bufio.Reader) (io.ReadCloser, error) {
	if a.zipped {
		return unzip(r)
	}
	dec, err := zstd.NewReader(r, zstd.IgnoreChecksum(true),
		zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, fmt.Errorf("open zstd decoder: %w", err)
	}
	return dec.IOReadCloser(), nil
}

// Disk remembers the first failed read of a file, so that a bad disk is not mistaken for damaged bytes. Decoders and servers read
// in goroutines of their own.
type Disk struct {
	io.ReaderAt
	err atomic.Pointer[error]
}

// ReadAt reads the file.
func (d *Disk) ReadAt(p []byte, offset int64) (int, error) {
	n, err := d.ReaderAt.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		d.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Err returns the error of the first failed read; nil if there was none.
func (d *Disk) Err() error {
	if err := d.err.Load(); err != nil {
		return *err
	}
	return nil
}

// VerifyChecksum compares the compressed data with the manifest's checksum. It reads the file once and decompresses nothing. Of another
// program's file it compares what [OpenNamed] says. Damage wraps ErrDamaged.
func (a *Archive) VerifyChecksum(ctx context.Context) error { return a.verifyChecksum(ctx, nil) }

func (a *Archive) verifyChecksum(ctx context.Context, progress func(done, total int64)) error {
	if !a.HasManifest() {
		return a.verify(ctx, a, progress)
	}
	return verifyData(ctx, io.NewSectionReader(a.r, 0, a.dataSize), a.dataSize, a.Manifest.ArchiveSHA256, progress)
}

// verifyData compares size bytes of compressed data with their SHA-256.
func verifyData(ctx context.Context, data io.Reader, size int64, want string, progress func(done, total int64)) error {
	sum := sha256.New()
	_, err := copyWithin(ctx, sum, data, copyPiece, size, progress)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("read archive: %w", err)
	}
	return checksum{Hash: sum, name: "SHA-256", want: want}.compare()
}

// checksum is a hash of an archive's compressed bytes, and what the manifest says that it must be.
type checksum struct {
	hash.Hash
	name, want string
}

func (c checksum) compare() error {
	if got := hex.EncodeToString(c.Sum(nil)); got != c.want {
		return fmt.Errorf("%w: %s of the archive is %s, not %s as in the manifest", ErrDamaged, c.name, got, c.want)
	}
	return nil
}

type rawReader struct {
	archive *Archive
	disk    *Disk
	data    io.Reader // all compressed bytes, hashed by sum as they are read
	sum     checksum
	raw     io.ReadCloser
	digest  *digest
}

// Close ends the decompression.
func (r *rawReader) Close() error { return r.raw.Close() }

func (r *rawReader) Read(p []byte) (int, error) {
	n, err := r.raw.Read(p)
	_, _ = r.digest.Write(p[:n]) // never fails
	switch {
	case err != nil && r.disk.Err() != nil:
		return n, fmt.Errorf("read archive: %w", r.disk.Err())
	case r.digest.size > r.archive.Manifest.RawSize:
		// This also stops a decompression bomb.
		return 0, fmt.Errorf("%w: it decompresses to more than the %d bytes in the manifest", ErrDamaged, r.archive.Manifest.RawSize)
	case err == nil:
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		if _, rest := io.Copy(io.Discard, r.data); rest != nil { // what else is in a zip
			return n, fmt.Errorf("read archive: %w", rest)
		}
	}
	return n, r.finish(err)
}

// finish returns io.EOF if everything matches the manifest. err is what ended the decompression.
func (r *rawReader) finish(err error) error {
	database := r.compare()
	switch {
	case !errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: compressed data: %w", ErrDamaged, err)
	case database != nil:
		return database
	default:
		err = r.sum.compare()
	}
	switch {
	case err == nil:
		return io.EOF
	case database == nil:
		return IntactDatabase(err)
	}
	return err
}

// compare verifies the database: its size and digest, and both against the manifest.
func (r *rawReader) compare() error {
	m := r.archive.Manifest
	if r.digest.size != m.RawSize {
		return fmt.Errorf("%w: it decompresses to %d bytes, not %d as in the manifest", ErrDamaged, r.digest.size, m.RawSize)
	}
	raw, err := r.digest.check()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if raw != m.RawSHA256 {
		return fmt.Errorf("%w: etcd's digest is %s, not %s as in the manifest", ErrDamaged, raw, m.RawSHA256)
	}
	return nil
}

// windowSize is how far back a match may be, and most of the memory of a writer and reader. Kubernetes objects repeat within a few
// pages; a larger window gains little.
const windowSize = 1 << 22

// Writer turns etcd's snapshot stream into an archive, in one pass and in constant memory. The caller's goroutine hashes the
// stream, a second one feeds the compressor, and those of zstd find matches, and code, hash and write.
type Writer struct {
	out    *hashingWriter
	data   container
	relay  *relay
	digest *digest
}

// container is the form of the compressed data.
type container interface {
	io.Writer // of the database and its digest
	// end completes the data, which a manifest of so many bytes will follow.
	end(manifest int) error
	// tail wraps the manifest: everything after the data.
	tail(m Manifest, dataSize int64) ([]byte, error)
	// abort returns when nothing is written any more.
	abort()
}

// zstdData is the data of an archive of ours.
type zstdData struct{ *zstd.Encoder }

func (z zstdData) end(int) error { return z.Close() }

func (zstdData) tail(m Manifest, dataSize int64) ([]byte, error) { return encodeTail(m, dataSize) }

func (z zstdData) abort() { z.Reset(io.Discard) } // waits for the encoder's goroutines

// NewWriter writes an archive to w. The caller writes the stream's bytes, then calls Finish or Abort.
func NewWriter(w io.Writer) (*Writer, error) {
	out := newHashingWriter(w)
	enc, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(windowSize), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return nil, fmt.Errorf("open zstd encoder: %w", err)
	}
	return newWriter(out, zstdData{enc}), nil
}

func newWriter(out *hashingWriter, data container) *Writer {
	return &Writer{out: out, data: data, relay: newRelay(data), digest: newDigest()}
}

// Write processes the next bytes of the stream. An error of the output may be returned a few calls later.
func (w *Writer) Write(p []byte) (int, error) {
	_, _ = w.digest.Write(p) // never fails
	return w.relay.Write(p)
}

// Finish compares etcd's digest, completes the data and appends the manifest. It fills in the manifest's format, sizes and
// digests and returns it. After an error the output is not an archive. Nothing is written after Finish.
func (w *Writer) Finish(m Manifest) (Manifest, error) {
	m, err := w.finish(m)
	if err != nil {
		w.data.abort()
	}
	return m, err
}

func (w *Writer) finish(m Manifest) (Manifest, error) {
	if err := w.relay.Close(); err != nil {
		return m, fmt.Errorf("write archive: %w", err)
	}
	raw, err := w.digest.check()
	if err != nil {
		return m, fmt.Errorf("verify the stream: %w", err)
	}
	m.Format = Format
	m.RawSize, m.RawSHA256 = w.digest.size, raw
	m.ArchiveSHA256, m.ArchiveCRC32C = strings.Repeat("0", 2*sha256.Size), strings.Repeat("0", 2*crc32.Size) // of their final length
	m = m.fitted()
	body, err := json.Marshal(m)
	if err != nil {
		return m, fmt.Errorf("encode manifest: %w", err)
	}
	if err := w.data.end(len(body)); err != nil {
		return m, fmt.Errorf("write archive: %w", err)
	}
	w.out.sums(&m)
	if err := m.check(); err != nil {
		return m, fmt.Errorf("check the manifest before writing: %w", err)
	}
	tail, err := w.data.tail(m, w.out.size)
	if err != nil {
		return m, err
	}
	if _, err := w.out.w.Write(tail); err != nil {
		return m, fmt.Errorf("write manifest: %w", err)
	}
	return m, nil
}

// Abort stops writing without completing the archive. Nothing is written after it.
func (w *Writer) Abort() {
	_ = w.relay.Close() // the output is discarded
	w.data.abort()
}

// hashingWriter passes bytes on, hashes and counts them.
type hashingWriter struct {
	w        io.Writer
	sum, crc hash.Hash
	size     int64
}

func newHashingWriter(w io.Writer) *hashingWriter {
	return &hashingWriter{w: w, sum: sha256.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
}

// sums sets the checksums in the manifest to those of the bytes so far.
func (h *hashingWriter) sums(m *Manifest) {
	m.ArchiveSHA256 = hex.EncodeToString(h.sum.Sum(nil))
	m.ArchiveCRC32C = hex.EncodeToString(h.crc.Sum(nil))
}

func (h *hashingWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.sum.Write(p[:n])
	h.crc.Write(p[:n])
	h.size += int64(n)
	return n, err
}

var (
	// ErrDamaged marks an archive that is not, byte for byte, what was written.
	ErrDamaged = errors.New("damaged")
	// ErrDatabaseIntact marks, together with ErrDamaged, a damaged file whose database matches etcd's digest: a restore from it loses
	// nothing.
	ErrDatabaseIntact = errors.New("its database is intact: etcd's digest matches")
)

// IntactDatabase adds ErrDatabaseIntact to damage that is not in the database.
func IntactDatabase(damage error) error { return fmt.Errorf("%w (%w)", damage, ErrDatabaseIntact) }
