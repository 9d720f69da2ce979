package s3

import (
	"crypto/md5" //nolint:gosec // Content-MD5 and ETag are S3's, against accidents and not against an enemy
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
)

// Headers of S3's own checksums, https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
const (
	headerAlgorithm = "x-amz-checksum-algorithm"
	headerKind      = "x-amz-checksum-type"
	headerCRC32C    = "x-amz-checksum-crc32c"
	wholeObject     = "FULL_OBJECT"
)

// piece is a part of the archive, or all of it if it is sent in one request.
type piece struct {
	number       int // from 1
	offset, size int64
	crc32c, md5  []byte // md5 only in mode md5, otherwise crc32c
	etag         string // as the server returned it
}

// digest reads the piece once before it is sent, because its checksum goes into the header. The second read comes from the page
// cache; keeping the piece in memory would take one part for each thread.
func (p *piece) digest(r io.ReaderAt, mode string, buf []byte) error {
	var h hash.Hash
	if mode == ChecksumMD5 {
		h = md5.New()
	} else {
		h = crc32.New(crc32.MakeTable(crc32.Castagnoli))
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(r, p.offset, p.size)}, buf)
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if n != p.size {
		return fmt.Errorf("read archive: it ends after %d bytes, not %d as announced: %w", p.offset+n, p.offset+p.size, io.ErrUnexpectedEOF)
	}
	if mode == ChecksumMD5 {
		p.md5 = h.Sum(nil)
	} else {
		p.crc32c = h.Sum(nil)
	}
	return nil
}

func (p *piece) crcText() string { return encodeSum(p.crc32c) }
func (p *piece) md5Text() string { return encodeSum(p.md5) }

func encodeSum(sum []byte) string {
	if sum == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(sum)
}

func (p *piece) objectPart() minio.ObjectPart {
	return minio.ObjectPart{PartNumber: p.number, Size: p.size, ETag: p.etag, ChecksumCRC32C: p.crcText()}
}

func objectParts(pieces []piece) []minio.ObjectPart {
	parts := make([]minio.ObjectPart, len(pieces))
	for i := range pieces {
		parts[i] = pieces[i].objectPart()
	}
	return parts
}

// wholeCRC combines the checksums of the pieces into the checksum of all bytes.
func wholeCRC(pieces []piece) (string, error) {
	sum, err := minio.ChecksumCRC32C.FullObjectChecksum(objectParts(pieces))
	if err != nil {
		return "", fmt.Errorf("%w: combine the checksums of the parts: %w", ErrChecksum, err)
	}
	return sum.Encoded(), nil
}

// compare checks that the server stored what was sent.
func (u *upload) compare(pieces []piece, stored minio.ObjectInfo) error {
	if stored.Size != u.size {
		return fmt.Errorf("%w: the server stored %d bytes, not %d", ErrChecksum, stored.Size, u.size)
	}
	if u.cfg.Checksum == ChecksumMD5 {
		return u.compareETag(pieces, stored)
	}
	whole, err := wholeCRC(pieces)
	if err != nil {
		return err
	}
	switch got, _, _ := strings.Cut(stored.ChecksumCRC32C, "-"); got {
	case whole:
		return nil
	case "":
		return fmt.Errorf("%w: the server stores none of S3's checksums: set --s3-checksum md5", ErrConfig)
	case compositeCRC(pieces): // older servers store the checksum of the parts' checksums
		return nil
	default:
		return fmt.Errorf("%w: CRC-32C of the stored object is %s, not %s", ErrChecksum, stored.ChecksumCRC32C, whole)
	}
}

func compositeCRC(pieces []piece) string {
	sum, err := minio.ChecksumCRC32C.CompositeChecksum(objectParts(pieces))
	if err != nil {
		return "none"
	}
	return sum.Encoded()
}

// opaque reports that an ETag is not computed from the bytes.
func (u *upload) opaque(stored minio.ObjectInfo) bool {
	return strings.HasPrefix(u.cfg.SSE, "kms") || strings.HasPrefix(stored.Metadata.Get("X-Amz-Server-Side-Encryption"), "aws:kms")
}

// compareETag compares the ETag. It is the MD5 of all bytes, or for multipart uploads usually of the parts' MD5s. With a KMS key
// it is neither; then Content-MD5, which the server must compare for each request, is enough.
func (u *upload) compareETag(pieces []piece, stored minio.ObjectInfo) error {
	if u.opaque(stored) {
		return nil
	}
	want := hex.EncodeToString(pieces[0].md5)
	switch {
	case len(pieces) == 1:
	case strings.Contains(stored.ETag, "-"):
		all := md5.New()
		for i := range pieces {
			_, _ = all.Write(pieces[i].md5) // a hash never fails
		}
		want = hex.EncodeToString(all.Sum(nil)) + "-" + strconv.Itoa(len(pieces))
	default: // some servers compute one MD5 over all parts
		whole := piece{size: u.size}
		if err := whole.digest(u.r, ChecksumMD5, make([]byte, digestBuffer)); err != nil {
			return err
		}
		want = hex.EncodeToString(whole.md5)
	}
	if !strings.EqualFold(stored.ETag, want) {
		return fmt.Errorf("%w: the ETag of the stored object is %s, not %s", ErrChecksum, stored.ETag, want)
	}
	return nil
}
