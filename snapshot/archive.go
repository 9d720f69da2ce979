package snapshot

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
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
	tail     []byte // everything after the data
}

// OpenArchive reads the manifest from the end of an archive of size bytes. Errors wrap ErrDamaged or ErrFormat, or come from r.
func OpenArchive(r io.ReaderAt, size int64) (*Archive, error) {
	if size == 0 {
		return nil, fmt.Errorf("%w: the file is empty", ErrDamaged)
	}
	tail := make([]byte, min(size, TailSize))
	if _, err := io.ReadFull(io.NewSectionReader(r, size-int64(len(tail)), int64(len(tail))), tail); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m, dataSize, err := DecodeTail(tail, size)
	if err != nil {
		return nil, err
	}
	behind := tail[int64(len(tail))-(size-dataSize):]
	return &Archive{Manifest: m, Size: size, r: r, dataSize: dataSize, tail: behind}, nil
}

// ReadAt reads from the archive's file, compressed.
func (a *Archive) ReadAt(p []byte, offset int64) (int, error) { return a.r.ReadAt(p, offset) }

// CRC32C returns the checksum of the whole file, computed from the manifest without reading the file. known is false for early
// archives, which do not have it.
func (a *Archive) CRC32C() (sum uint32, known bool) {
	data, err := hex.DecodeString(a.Manifest.ArchiveCRC32C)
	if err != nil || len(data) != crc32.Size {
		return 0, false
	}
	return crc32.Update(binary.BigEndian.Uint32(data), crc32.MakeTable(crc32.Castagnoli), a.tail), true
}

// Raw returns a reader of what etcd sent: the database followed by its digest, RawSize bytes. The last Read compares both digests
// and the sizes. io.EOF means that all of it is verified; damage is an error that wraps ErrDamaged. The caller closes the reader.
func (a *Archive) Raw() (io.ReadCloser, error) { return a.read(sha256.New()) }

// Contents is Raw without the checksum of the archive itself, which saves a fifth of the time. What it returns is still verified
// by etcd's digest, and a restore needs no more.
func (a *Archive) Contents() (io.ReadCloser, error) { return a.read(nil) }

// read decompresses. sum hashes the compressed bytes; it may be nil.
func (a *Archive) read(sum hash.Hash) (io.ReadCloser, error) {
	data := &sourceReader{r: io.NewSectionReader(a.r, 0, a.dataSize)}
	if sum != nil {
		data.r = io.TeeReader(data.r, sum)
	}
	// The decoder reads in small steps at frame and block headers.
	dec, err := zstd.NewReader(bufio.NewReaderSize(data, 256<<10), zstd.IgnoreChecksum(sum == nil),
		zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, fmt.Errorf("open zstd decoder: %w", err)
	}
	return &rawReader{archive: a, source: data, sum: sum, zstd: dec, digest: newDigest()}, nil
}

// sourceReader remembers a failed read, so that a bad disk is not mistaken for a damaged archive. The decoder reads ahead in its
// own goroutine.
type sourceReader struct {
	r   io.Reader
	err atomic.Pointer[error]
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err.Store(&err)
	}
	return n, err
}

// VerifyChecksum compares the compressed data with the manifest's checksum. It reads the file once and decompresses nothing.
// Damage wraps ErrDamaged.
func (a *Archive) VerifyChecksum(ctx context.Context) error {
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	data := io.NewSectionReader(a.r, 0, a.dataSize)
	for {
		n, err := data.Read(buf)
		sum.Write(buf[:n])
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return a.compare(sum)
		case err != nil:
			return fmt.Errorf("read archive: %w", err)
		}
	}
}

func (a *Archive) compare(sum hash.Hash) error {
	if got := hex.EncodeToString(sum.Sum(nil)); got != a.Manifest.ArchiveSHA256 {
		return fmt.Errorf("%w: SHA-256 of the archive is %s, not %s as in the manifest", ErrDamaged, got, a.Manifest.ArchiveSHA256)
	}
	return nil
}

type rawReader struct {
	archive *Archive
	source  *sourceReader
	sum     hash.Hash // nil: the archive's own checksum is not verified
	zstd    *zstd.Decoder
	digest  *digest
}

func (r *rawReader) Close() error {
	r.zstd.Close()
	return nil
}

func (r *rawReader) Read(p []byte) (int, error) {
	n, err := r.zstd.Read(p)
	_, _ = r.digest.Write(p[:n]) // never fails
	switch {
	case err != nil && r.source.err.Load() != nil:
		return n, fmt.Errorf("read archive: %w", *r.source.err.Load())
	case r.digest.size > r.archive.Manifest.RawSize:
		// This also stops a decompression bomb.
		return 0, fmt.Errorf("%w: it decompresses to more than the %d bytes in the manifest", ErrDamaged, r.archive.Manifest.RawSize)
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, r.finish()
	default:
		return n, fmt.Errorf("%w: zstd data: %w", ErrDamaged, err)
	}
}

// finish returns io.EOF if everything matches the manifest.
func (r *rawReader) finish() error {
	m := r.archive.Manifest
	if r.sum != nil {
		if err := r.archive.compare(r.sum); err != nil {
			return err
		}
	}
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
	return io.EOF
}
