package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// windowSize is zstd's window: how far back a match may be. It is most of the memory of a writer and reader. Kubernetes objects
// repeat within a few pages; a larger window gains little.
const windowSize = 1 << 22

// Writer turns etcd's snapshot stream into an archive, in one pass and in constant memory. The caller's goroutine hashes the
// stream; a second one compresses and writes.
type Writer struct {
	out    *hashingWriter
	zstd   *zstd.Encoder
	relay  *relay
	digest *digest
}

// NewWriter writes an archive to w. The caller writes the stream's bytes, then calls Finish or Abort.
func NewWriter(w io.Writer) (*Writer, error) {
	out := &hashingWriter{w: w, sum: sha256.New(), crc: newCRC32C()}
	enc, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(windowSize), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("open zstd encoder: %w", err)
	}
	return &Writer{out: out, zstd: enc, relay: newRelay(enc), digest: newDigest()}, nil
}

// Write processes the next bytes of the stream. An error of the output may be returned a few calls later.
func (w *Writer) Write(p []byte) (int, error) {
	_, _ = w.digest.Write(p) // never fails
	return w.relay.Write(p)
}

// Finish compares etcd's digest, completes the data and appends the manifest. It fills in the manifest's format, sizes and
// digests and returns it. After an error the output is not an archive.
func (w *Writer) Finish(m Manifest) (Manifest, error) {
	closeErr := w.relay.Close()
	if closeErr == nil {
		closeErr = w.zstd.Close()
	}
	raw, err := w.digest.check()
	switch {
	case closeErr != nil:
		return m, fmt.Errorf("write archive: %w", closeErr)
	case err != nil:
		return m, fmt.Errorf("verify the stream: %w", err)
	}
	m.Format = Format
	m.RawSize, m.RawSHA256 = w.digest.size, raw
	m.ArchiveSHA256 = hex.EncodeToString(w.out.sum.Sum(nil))
	m.ArchiveCRC32C = hex.EncodeToString(w.out.crc.Sum(nil))
	if err := m.check(); err != nil {
		return m, fmt.Errorf("check the manifest before writing: %w", err)
	}
	tail, err := encodeTail(m, w.out.size)
	if err != nil {
		return m, err
	}
	if _, err := w.out.w.Write(tail); err != nil {
		return m, fmt.Errorf("write manifest: %w", err)
	}
	return m, nil
}

// Abort stops writing without completing the archive.
func (w *Writer) Abort() {
	_ = w.relay.Close() // the output is discarded
}

// hashingWriter passes bytes on, hashes and counts them.
type hashingWriter struct {
	w        io.Writer
	sum, crc hash.Hash
	size     int64
}

func newCRC32C() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func (h *hashingWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.sum.Write(p[:n])
	h.crc.Write(p[:n])
	h.size += int64(n)
	return n, err
}
