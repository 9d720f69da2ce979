package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
)

// Segment is a segment opened for reading. Of one that was not completed, the manifest describes what counts of it.
type Segment struct {
	Manifest
	Complete bool // it has a manifest and a final name

	r              io.ReaderAt
	dataSize, size int64 // bytes: of the compressed data, and of the file
}

// Open reads the manifest of a complete segment of size bytes. Its data is checked when Each has read it. Errors wrap
// snapshot.ErrDamaged or snapshot.ErrFormat, or come from r.
func Open(r io.ReaderAt, size int64) (*Segment, error) {
	tail := make([]byte, min(size, snapshot.TailSize))
	if _, err := io.ReadFull(io.NewSectionReader(r, size-int64(len(tail)), int64(len(tail))), tail); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m, dataSize, err := DecodeTail(tail, size)
	if err != nil {
		return nil, err
	}
	return &Segment{Manifest: m, Complete: true, r: r, dataSize: dataSize, size: size}, nil
}

// DecodeTail reads the manifest from the last bytes of a complete segment of size bytes, min(size, snapshot.TailSize) bytes. dataSize is the
// length of the compressed data before it. Errors are those of Open.
func DecodeTail(tail []byte, size int64) (m Manifest, dataSize int64, err error) {
	body, dataSize, err := snapshot.DecodeFrame(tail, size)
	if errors.Is(err, snapshot.ErrNoManifest) {
		err = fmt.Errorf("%w: %w", snapshot.ErrDamaged, err)
	}
	if err != nil {
		return m, 0, err
	}
	var head struct{ Format string }
	if err := json.Unmarshal(body, &head); err == nil && head.Format != Format {
		return m, 0, Manifest{Header: Header{Format: head.Format}}.check()
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, 0, fmt.Errorf("%w: manifest: %w", snapshot.ErrDamaged, err)
	}
	return m, dataSize, m.check()
}

// OpenPart reads a segment that is being written, or whose writer died, up to its last checkpoint. If it has none, the error wraps
// ErrEmpty.
func OpenPart(ctx context.Context, r io.ReaderAt, size int64) (*Segment, error) {
	s := &Segment{r: r, dataSize: size, size: size}
	disk := &snapshot.Disk{ReaderAt: r}
	raw, err := decompress(io.NewSectionReader(disk, 0, size))
	if err != nil {
		return nil, err
	}
	err = s.scan(ctx, raw)
	_ = raw.Close() // it has read ahead until now
	switch {
	case disk.Err() != nil:
		return nil, fmt.Errorf("read journal: %w", disk.Err())
	case err != nil:
		return nil, err
	case s.Last == 0:
		return nil, ErrEmpty
	}
	return s, nil
}

// OpenNamed is Open for a segment of which the name is known. Its revisions must be those of the name, by which it was chosen.
func OpenNamed(r io.ReaderAt, size int64, n snapshot.SegmentName) (*Segment, error) {
	s, err := Open(r, size)
	if err == nil && (s.First != n.First || s.Last != n.Last) {
		return nil, fmt.Errorf("%w: it has revisions %d to %d, not those of its name", snapshot.ErrDamaged, s.First, s.Last)
	}
	return s, err
}

// OpenFile opens the file of a segment, complete or not. Errors are those of OpenNamed and OpenPart. The caller closes the file.
func OpenFile(ctx context.Context, f *os.File, n snapshot.SegmentName) (*Segment, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case n.Complete():
		return OpenNamed(f, info.Size(), n)
	}
	return OpenPart(ctx, f, info.Size())
}

// ErrEmpty marks a segment without a checkpoint.
var ErrEmpty = errors.New("the segment has no complete revision")

// scan finds the last checkpoint. Whatever is wrong behind it is how a file ends whose writer died.
func (s *Segment) scan(ctx context.Context, raw io.Reader) error {
	sum := sha256.New()
	in := &records{r: bufio.NewReader(raw)}
	var last digest
	var size, events, compacted int64
	for {
		r, n, err := in.next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return nil
		case (size == 0) != (r.Kind == KindHeader):
			return nil
		case r.Kind == KindHeader:
			if err := json.Unmarshal(r.Data, &s.Header); err != nil {
				return nil
			}
			if s.Format != Format {
				return s.check()
			}
			compacted = s.Compacted
		case r.event():
			last.add(r)
			events++
		case r.Kind == KindCompaction:
			compacted = max(compacted, r.Revision)
		}
		if r.Kind == KindCheckpoint && !bytes.Equal(sum.Sum(nil)[:digestLen], r.digest) {
			return nil
		}
		sum.Write(in.head[:])
		sum.Write(in.buf.Bytes())
		size += n
		if r.Kind == KindCheckpoint && last.revision == r.Revision {
			s.received(r.At)
			s.Last, s.LastDigest, s.Events, s.Compacted = r.Revision, last.String(), events, compacted
			s.RawSize, s.RawSHA256 = size, hex.EncodeToString(sum.Sum(nil))
		}
	}
}

func decompress(r io.Reader) (io.ReadCloser, error) {
	dec, err := zstd.NewReader(bufio.NewReaderSize(r, 256<<10), zstd.IgnoreChecksum(true), zstd.WithDecoderConcurrency(2),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowSize))
	if err != nil {
		return nil, fmt.Errorf("open zstd decoder: %w", err)
	}
	return dec.IOReadCloser(), nil
}

// Each calls visit for each record, in order. It demands every revision from the first to the last one, and returns nil only if all bytes are
// those that were written. So what visit was given counts only then. Damage wraps snapshot.ErrDamaged.
func (s *Segment) Each(ctx context.Context, visit func(Record) error) error {
	disk := &snapshot.Disk{ReaderAt: s.r}
	packed, sum, want := io.Reader(io.NewSectionReader(disk, 0, s.dataSize)), sha256.New(), s.RawSHA256
	if s.Complete { // the compressed bytes are fewer
		packed, want = io.TeeReader(packed, sum), s.ArchiveSHA256
	}
	raw, err := decompress(packed)
	if err != nil {
		return err
	}
	limited := io.LimitReader(raw, s.RawSize)
	if !s.Complete {
		limited = io.TeeReader(limited, sum)
	}
	err = s.visit(ctx, limited, visit)
	if err == nil && s.Complete {
		err = s.drain(raw, packed)
	}
	_ = raw.Close() // it has read ahead until now
	if disk.Err() != nil {
		return fmt.Errorf("read journal: %w", disk.Err())
	}
	if err != nil {
		return Named(s.SegmentName(), err)
	}
	return s.compare(sum, want)
}

// SegmentName is the name of its file.
func (s *Segment) SegmentName() snapshot.SegmentName {
	if n, err := snapshot.ParseSegmentName(s.Name); err == nil {
		return n
	}
	return snapshot.SegmentName{Node: s.Node, Time: s.CreatedAt.UTC().Truncate(time.Second), First: s.First}
}

// foreign is the error of a segment of another history.
func (s *Segment) foreign(format string, args ...any) error {
	return &SegmentError{s.SegmentName(), fmt.Errorf("%w: %s", ErrHistory, fmt.Sprintf(format, args...))}
}

func (s *Segment) label() string { return s.SegmentName().String() }

// drain reads what is behind the records, so that all bytes are hashed.
func (s *Segment) drain(raw, packed io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(raw, 1))
	if err == nil {
		_, err = io.Copy(io.Discard, packed)
	}
	if err != nil || n > 0 {
		return fmt.Errorf("%w: it does not decompress to the %d bytes in the manifest", snapshot.ErrDamaged, s.RawSize)
	}
	return nil
}

func (s *Segment) compare(sum hash.Hash, want string) error {
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return Named(s.SegmentName(), fmt.Errorf("%w: its SHA-256 is %s, not %s", snapshot.ErrDamaged, got, want))
	}
	return nil
}

func (s *Segment) visit(ctx context.Context, raw io.Reader, visit func(Record) error) error {
	in := &records{r: bufio.NewReader(raw)}
	at := s.First - 1
	for {
		r, _, err := in.next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF) && at == s.Last:
			return nil
		case err != nil:
			return fmt.Errorf("%w: after revision %d: %w", snapshot.ErrDamaged, at, err)
		case r.event() && r.Revision != at+1 && (r.Revision != at || at < s.First), r.event() && r.Revision > s.Last:
			return fmt.Errorf("%w: %w: revision %d follows %d", snapshot.ErrDamaged, ErrGap, r.Revision, at)
		case r.event():
			at = r.Revision
		}
		if err := visit(r); err != nil {
			return err
		}
	}
}
