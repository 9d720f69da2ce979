package snapshot

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

const (
	// MaxZipMembers is how many members a zip may have.
	MaxZipMembers = 10_000
	// maxZipDirectory limits how many bytes of a zip's directory are read, and so the memory for its entries: 800 bytes for each of
	// MaxZipMembers.
	maxZipDirectory = 8 << 20

	encryptedFlag = 1 // APPNOTE.TXT of PKWARE, section 4.4.4, bit 0
)

// ErrManyMembers marks a zip with more than MaxZipMembers members.
var ErrManyMembers = errors.New("too many members in a zip")

var errOffset = errors.New("an offset before the beginning")

// frugal refuses to read more than left bytes; below zero there is no limit. archive/zip trusts the offsets in a directory.
type frugal struct {
	io.ReaderAt
	left int64
}

func (f *frugal) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset
	}
	if f.left >= 0 {
		if f.left -= int64(len(p)); f.left < 0 {
			f.left = 0
			return 0, ErrManyMembers
		}
	}
	return f.ReaderAt.ReadAt(p, off)
}

// ZipMembers reads the directory of a zip of size bytes. Names in it never become paths here. Errors wrap ErrManyMembers, ErrDamaged if
// there is no directory, or come from r.
func ZipMembers(r io.ReaderAt, size int64) ([]*zip.File, error) {
	directory := &frugal{ReaderAt: r, left: maxZipDirectory}
	z, err := zip.NewReader(directory, size)
	directory.left = -1
	switch {
	case errors.Is(err, zip.ErrInsecurePath):
	case errors.Is(err, zip.ErrFormat):
		return nil, fmt.Errorf("%w: zip: no directory at its end: the file is cut off", ErrDamaged)
	case err != nil:
		return nil, err
	}
	if len(z.File) > MaxZipMembers {
		return nil, ErrManyMembers
	}
	z.RegisterDecompressor(zip.Deflate, flate.NewReader) // twice as fast as the standard library
	return z.File, nil
}

// ZipEncrypted reports whether a member can be read with its password only.
func ZipEncrypted(m *zip.File) bool { return m.Flags&encryptedFlag != 0 }

// ZipReadable reports whether this program can read a member.
func ZipReadable(m *zip.File) bool {
	return !ZipEncrypted(m) && (m.Method == zip.Store || m.Method == zip.Deflate)
}

// VerifyZipMember reads a member to its end, which compares its size and CRC-32, and hands the bytes to w. The error is that of the
// decoder or of the file.
func VerifyZipMember(ctx context.Context, m *zip.File, w io.Writer, progress func(done, total int64)) error {
	r, err := m.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = copyWithin(ctx, w, r, copyPiece, int64(m.UncompressedSize64), progress) //nolint:gosec // only shown
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
