package input

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
)

// footerMagic ends our archives, in every version (docs/FORMAT.md).
const footerMagic = "etcdRB\x001"

const (
	// readBuffer is the buffer in front of decoders, which read in small steps.
	readBuffer = 256 << 10
	// maxWindow limits a zstd decoder's memory; zstd itself uses up to 8 MiB unless told otherwise.
	maxWindow = 64 << 20
)

// source is the file.
type source struct {
	snapshot.Disk
	size int64
}

var errOffset = errors.New("an offset before the beginning")

// ReadAt reads the file.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 { // archive/zip trusts the offsets in a zip's directory
		return 0, errOffset
	}
	return s.Disk.ReadAt(p, off)
}

// fault distinguishes a failed disk from damaged bytes.
func (s *source) fault(what Form, err error) error {
	switch {
	case s.Err() != nil:
		return fmt.Errorf("read snapshot: %w", s.Err())
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return formError("a zstd file that needs a window of more than %d MiB: unpack it first with zstd -d --long=31", maxWindow>>20)
	case errors.Is(err, snapshot.ErrDamaged):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s: the file is cut off", snapshot.ErrDamaged, what)
	}
	return fmt.Errorf("%w: %s: %w", snapshot.ErrDamaged, what, err)
}

// part reads bytes of the file.
func (s *source) part(from, to int64) ([]byte, error) {
	part := make([]byte, to-from)
	if _, err := io.ReadFull(io.NewSectionReader(s, from, to-from), part); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return part, nil
}

func (s *source) plain() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s, 0, s.size)), nil
}

func (s *source) buffered() io.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(s, 0, s.size), readBuffer)
}

func (s *source) gunzip() (io.ReadCloser, error) { return gzip.NewReader(s.buffered()) }

func (s *source) unzstd() (io.ReadCloser, error) {
	dec, err := zstd.NewReader(s.buffered(),
		zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return dec.IOReadCloser(), nil
}
