package snapshot

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Archive is an archive opened for reading. Its manifest is proven against the footer's checksum; its
// data only once Raw was read to the end.
type Archive struct {
	Manifest Manifest
	Size     int64 // of the whole file, bytes

	r        io.ReaderAt
	dataSize int64
}

// OpenArchive reads the manifest from the end of an archive of size bytes. Errors wrap ErrDamaged or
// ErrFormat, or are r's own.
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
	return &Archive{Manifest: m, Size: size, r: r, dataSize: dataSize}, nil
}

// Raw gives what etcd sent, the database followed by its digest, RawSize bytes. The last Read compares
// both digests and the sizes: io.EOF means that all of it is proven, any damage is an error that
// wraps ErrDamaged. The caller closes it.
func (a *Archive) Raw() (io.ReadCloser, error) {
	sum := sha256.New()
	data := &sourceReader{r: io.TeeReader(io.NewSectionReader(a.r, 0, a.dataSize), sum)}
	// The decoder reads in small steps at frame and block headers.
	dec, err := zstd.NewReader(bufio.NewReaderSize(data, 256<<10),
		zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, fmt.Errorf("open zstd decoder: %w", err)
	}
	return &rawReader{archive: a, source: data, sum: sum, zstd: dec, digest: newDigest()}, nil
}

// sourceReader remembers a failed read, so that a bad disk is not taken for a damaged archive. The decoder reads ahead
// in a goroutine of its own.
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

// Prove compares the compressed data with the manifest's digest, which costs one read of the file and no
// decompression. Damage wraps ErrDamaged.
func (a *Archive) Prove(ctx context.Context) error {
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
		return fmt.Errorf("%w: SHA-256 of the archive is %s, the manifest says %s", ErrDamaged, got, a.Manifest.ArchiveSHA256)
	}
	return nil
}

type rawReader struct {
	archive *Archive
	source  *sourceReader
	sum     hash.Hash
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
		// Ends a decompression bomb as well.
		return 0, fmt.Errorf("%w: more than the %d bytes of the manifest come out of it", ErrDamaged, r.archive.Manifest.RawSize)
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, r.finish()
	default:
		return n, fmt.Errorf("%w: zstd data: %w", ErrDamaged, err)
	}
}

// finish gives io.EOF when everything fits the manifest.
func (r *rawReader) finish() error {
	m := r.archive.Manifest
	if err := r.archive.compare(r.sum); err != nil {
		return err
	}
	if r.digest.size != m.RawSize {
		return fmt.Errorf("%w: %d bytes came out of it, the manifest says %d", ErrDamaged, r.digest.size, m.RawSize)
	}
	raw, err := r.digest.check()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if raw != m.RawSHA256 {
		return fmt.Errorf("%w: etcd's digest is %s, the manifest says %s", ErrDamaged, raw, m.RawSHA256)
	}
	return io.EOF
}
