package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// SealedSegment is a complete segment of the journal as a file, whatever is in it: what storing and removing it needs to know.
type SealedSegment struct {
	Name     SegmentName
	Cluster  ID
	From, To time.Time // when its first and its last revision were received
	Size     int64     // of the file, bytes

	r        io.ReaderAt
	dataSize int64
	sha256   string // of the data
	crc32c   string
	behind   []byte // the data
}

// OpenSealedSegment reads the manifest from the end of a segment of size bytes. Errors wrap ErrDamaged, or come from r.
func OpenSealedSegment(r io.ReaderAt, size int64) (*SealedSegment, error) {
	tail := make([]byte, min(size, TailSize))
	if _, err := io.ReadFull(io.NewSectionReader(r, size-int64(len(tail)), int64(len(tail))), tail); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	body, dataSize, err := DecodeFrame(tail, size)
	if errors.Is(err, ErrNoManifest) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	var m struct {
		Name          string    `json:"name"`
		ClusterID     ID        `json:"cluster_id"`
		From          time.Time `json:"first_time"`
		To            time.Time `json:"last_time"`
		ArchiveSHA256 string    `json:"archive_sha256"`
		ArchiveCRC32C string    `json:"archive_crc32c"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	n, err := ParseSegmentName(m.Name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: manifest: name: %w", ErrDamaged, err)
	case !n.Complete() || !isHex(m.ArchiveSHA256, sha256.Size):
		return nil, fmt.Errorf("%w: the manifest is not that of a complete segment", ErrDamaged)
	}
	return &SealedSegment{
		Name: n, Cluster: m.ClusterID, From: m.From, To: m.To, Size: size,
		r: r, dataSize: dataSize, sha256: m.ArchiveSHA256, crc32c: m.ArchiveCRC32C, behind: tail[int64(len(tail))-(size-dataSize):],
	}, nil
}

// ReadAt reads from the file, compressed.
func (s *SealedSegment) ReadAt(p []byte, offset int64) (int, error) { return s.r.ReadAt(p, offset) }

// CRC32C is that of Archive.
func (s *SealedSegment) CRC32C() (sum uint32, known bool) { return crc32cOf(s.crc32c, s.behind) }

// VerifyChecksum is that of Archive.
func (s *SealedSegment) VerifyChecksum(ctx context.Context) error {
	return verifyData(ctx, io.NewSectionReader(s.r, 0, s.dataSize), s.dataSize, s.sha256, nil)
}
