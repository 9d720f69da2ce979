package journal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"etcd-rolling-backup/snapshot"
)

// ReadAt reads from the segment's file, compressed.
func (s *Segment) ReadAt(p []byte, offset int64) (int, error) { return s.r.ReadAt(p, offset) }

// CRC32C is that of the file of a complete segment, computed from the manifest without reading the file.
func (s *Segment) CRC32C() (sum uint32, known bool) {
	return snapshot.CRC32COf(s.ArchiveCRC32C, s.behind)
}

// VerifyChecksum compares the compressed data of a complete segment with the manifest. It reads the file once and decompresses nothing.
// Damage wraps snapshot.ErrDamaged.
func (s *Segment) VerifyChecksum(ctx context.Context) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, within{ctx, io.NewSectionReader(s.r, 0, s.dataSize)}); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	return s.compare(sum, s.ArchiveSHA256)
}

// within reads until ctx ends.
type within struct {
	ctx context.Context //nolint:containedctx // io.Reader takes none
	io.Reader
}

func (w within) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.Reader.Read(p)
}
