// Package input reads a snapshot in any form: our archive, the plain database that etcdctl writes, and such a database in gzip,
// zip or zstd.
//
// Invariant: the content decides what a file is, never its name, and names inside a file never become paths. Memory does not grow
// with the file. A database that does not match its digest is an error unless the caller allowed it. A damaged file whose database
// matches its digest is readable, and its damage is reported next to the database: Unpacked.Damage.
package input

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
)

// Form is the form of a snapshot file.
type Form string

// The forms that Open reads.
const (
	FormArchive  Form = "archive"  // ours
	FormDatabase Form = "database" // plain bbolt file, with or without etcd's digest after it
	FormGzip     Form = "gzip"     // of one database
	FormZip      Form = "zip"      // of rke-tools, k3s and RKE2: one database among other members; with a manifest it is an archive of ours
	FormZstd     Form = "zstd"     // of one database; also an archive of ours whose end is missing
)

var (
	// ErrForm marks a file that contains no snapshot.
	ErrForm = errors.New("no snapshot")
	// ErrNoDigest marks a database that has no digest to verify it with.
	ErrNoDigest = snapshot.ErrNoDigest
)

// Input is a recognized snapshot. Only Unpack verifies all of it.
type Input struct {
	Form     Form
	Manifest *snapshot.Manifest // of an archive of ours, otherwise nil
	Size     int64              // bytes after decompression, as declared, with the digest; -1: unknown (gzip, zstd)
	Member   string             // zip: the name of the member with the database
	Damage   error              // what Open found damaged in a file that may still have an intact database; nil: nothing

	source *source
	others []*zip.File                   // the other members of a zip
	open   func() (io.ReadCloser, error) // the decompressed bytes from the first one
}

// Open detects what a file of size bytes is. From a gzip, zip or zstd file it decompresses just enough to detect a database
// inside. f must stay open until Unpack is done. Errors wrap ErrForm, snapshot.ErrDamaged (also with ErrForm: an empty file) or
// snapshot.ErrFormat, or come from f.
func Open(f io.ReaderAt, size int64) (*Input, error) {
	if size <= 0 {
		return nil, orLost(lookEmpty, formError("the file is %s", lookEmpty))
	}
	s := &source{Disk: snapshot.Disk{ReaderAt: f}, size: size}
	tail, err := s.part(max(size-snapshot.TailSize, 0), size)
	if err != nil {
		return nil, err
	}
	atEnd := bytes.HasSuffix(tail, []byte(footerMagic))
	if !atEnd && !bytes.Contains(tail, []byte(manifestStart)) {
		return s.detectOther(tail)
	}
	a, err := snapshot.OpenArchive(s, size)
	switch {
	case err == nil:
		in := &Input{Form: FormArchive, Manifest: &a.Manifest, Size: a.Manifest.RawSize, source: s, open: a.Contents}
		if a.Zipped() {
			in.Form = FormZip
		}
		return in, nil
	case errors.Is(err, snapshot.ErrNoManifest):
		return s.detect()
	case !errors.Is(err, snapshot.ErrDamaged):
		return nil, err
	}
	// Its manifest is useless, but the data is in front of it, with etcd's digest.
	in, other := s.detect()
	switch {
	case other == nil && (in.Form == FormZstd || in.Form == FormZip):
		in.Damage = err
	case atEnd:
		return nil, err
	}
	return in, other
}

// detectOther is detect for a file that never had a manifest. archive/zip accepts what follows the end of a zip.
func (s *source) detectOther(tail []byte) (*Input, error) {
	in, err := s.detect()
	if err == nil && in.Form == FormZip && in.Damage == nil {
		if _, _, end := snapshot.DecodeTail(tail, s.size); !errors.Is(end, snapshot.ErrNoManifest) {
			in.Damage = fmt.Errorf("%w: zip: something else follows its end", snapshot.ErrDamaged)
		}
	}
	return in, err
}

// detect decides by the first bytes what a file is that has no valid manifest.
func (s *source) detect() (*Input, error) {
	head, err := s.part(0, min(s.size, snapshot.HeadSize))
	if err != nil {
		return nil, err
	}
	if snapshot.IsDatabase(head) {
		return &Input{Form: FormDatabase, Size: s.size, source: s, open: s.plain}, nil
	}
	switch looks := describe(head); looks {
	case lookGzip:
		return s.stream(FormGzip, s.gunzip)
	case lookZstd:
		return s.stream(FormZstd, s.unzstd)
	case lookZip:
		return s.zip()
	default:
		return nil, orLost(looks, formError("the file is %s", looks))
	}
}

// formError also lists what is accepted.
func formError(format string, args ...any) error {
	return fmt.Errorf("%w: %s (accepted: archives of this program, databases as etcdctl snapshot save writes them, "+
		"and such a database in gzip, zip or zstd)", ErrForm, fmt.Sprintf(format, args...))
}

// orLost calls it damage if nothing shows that the file ever was a snapshot: whoever takes it for one has lost it.
func orLost(looks string, err error) error {
	if isAnything(looks) {
		return fmt.Errorf("%w: %w", snapshot.ErrDamaged, err)
	}
	return err
}

// stream opens a file that is compressed as a whole, if it contains a database.
func (s *source) stream(form Form, open func() (io.ReadCloser, error)) (*Input, error) {
	head, err := headOf(open)
	switch {
	case snapshot.IsDatabase(head):
		return &Input{Form: form, Size: -1, source: s, open: open}, nil
	case err != nil:
		return nil, s.fault(form, err)
	default:
		looks := describe(head)
		return nil, orLost(looks, formError("a %s file, and its content is %s: unpack it first", form, looks))
	}
}

// headOf decompresses the first bytes.
func headOf(open func() (io.ReadCloser, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, snapshot.HeadSize))
}

// What shows in the last bytes of a file that it is an archive of ours, in every version (docs/FORMAT.md): its end, or the beginning of
// its manifest if the end is damaged.
const (
	footerMagic   = "etcdRB\x001"
	manifestStart = `{"format":"etcd-rolling-backup/`
)

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
