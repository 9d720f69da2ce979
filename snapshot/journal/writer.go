package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
)

// windowSize is how far back a match may be. Objects that change often repeat within a few megabytes.
const windowSize = 8 << 20

// Writer writes one segment. Whoever uses it hands over the events of each revision in order.
type Writer struct {
	out     *counter
	enc     *zstd.Encoder
	raw     hash.Hash // of all records so far
	m       Manifest
	pending int64 // events since the last checkpoint
	current digest
	buf     []byte
}

// counter passes bytes on, hashes and counts them.
type counter struct {
	io.Writer
	sum, crc hash.Hash
	size     int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.sum.Write(p[:n])
	c.crc.Write(p[:n])
	c.size += int64(n)
	return n, err
}

// NewWriter begins a segment with its header.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	// This level takes a sixth less than the default, for 12 microseconds more an event.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(windowSize),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("open zstd encoder: %w", err)
	}
	return (&Writer{enc: enc}).next(w, h)
}

// next begins another segment, after this one is done, with the same memory: new memory for each would be most of what a recorder needs.
func (s *Writer) next(w io.Writer, h Header) (*Writer, error) {
	out := &counter{Writer: w, sum: sha256.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	s.enc.Reset(out)
	h.Format = Format
	s = &Writer{out: out, enc: s.enc, buf: s.buf, raw: sha256.New(), m: Manifest{Header: h}}
	text, err := json.Marshal(h)
	if err == nil {
		err = s.write(Record{Kind: KindHeader, Data: text})
	}
	return s, err
}

func (s *Writer) write(r Record) error {
	s.buf = r.append(s.buf[:0])
	s.raw.Write(s.buf)
	s.m.RawSize += int64(len(s.buf))
	if _, err := s.enc.Write(s.buf); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Write adds an event, a lease or a compaction. An event must be of the same revision as the last one, or of the next: otherwise the error
// wraps ErrGap.
func (s *Writer) Write(r Record) error {
	if r.event() {
		at := s.current.revision
		if at == 0 {
			at = s.m.First - 1
		}
		if r.Revision != at+1 && (r.Revision != at || s.current.revision == 0) {
			return fmt.Errorf("%w: revision %d follows %d", ErrGap, r.Revision, at)
		}
		s.current.add(r)
		s.m.Events++
		s.pending++
	}
	if r.Kind == KindCompaction {
		s.m.Compacted = max(s.m.Compacted, r.Revision)
	}
	return s.write(r)
}

// Checkpoint ends the events that were received at a time: their revisions are complete. It writes everything to the file.
func (s *Writer) Checkpoint(at time.Time, late bool) error {
	if s.current.revision == 0 {
		return nil // a reader needs an event
	}
	s.pending = 0
	s.m.Last = s.current.revision
	s.m.received(at)
	if err := s.write(Record{Kind: KindCheckpoint, Revision: s.m.Last, At: at, Late: late, digest: s.raw.Sum(nil)[:digestLen]}); err != nil {
		return err
	}
	if err := s.enc.Flush(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Size is how many bytes of the segment are in its file.
func (s *Writer) Size() int64 { return s.out.size }

// Empty reports that the segment has no complete revision.
func (s *Writer) Empty() bool { return s.m.Last == 0 }

// Finish completes the segment behind its last checkpoint and returns its manifest.
func (s *Writer) Finish() (Manifest, error) {
	m := s.m
	if s.Empty() || s.pending > 0 {
		return m, fmt.Errorf("complete segment: %d events after the last checkpoint", s.pending)
	}
	if err := s.enc.Close(); err != nil {
		return m, fmt.Errorf("write journal: %w", err)
	}
	name, err := snapshot.NewSegmentName(m.Node, m.CreatedAt, m.First, m.Last)
	if err != nil {
		return m, err
	}
	m.Name, m.LastDigest = name.String(), s.current.String()
	m.RawSHA256, m.ArchiveSHA256 = hex.EncodeToString(s.raw.Sum(nil)), hex.EncodeToString(s.out.sum.Sum(nil))
	m.ArchiveCRC32C = hex.EncodeToString(s.out.crc.Sum(nil))
	body, err := json.Marshal(m)
	if err == nil {
		body, err = snapshot.EncodeFrame(body, s.out.size)
	}
	if err == nil {
		_, err = s.out.Writer.Write(body)
	}
	if err != nil {
		return m, fmt.Errorf("write the segment's manifest: %w", err)
	}
	return m, nil
}
