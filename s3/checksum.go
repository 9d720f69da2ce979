package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5 and ETag are S3's, against accidents and not against an enemy
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
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
	sum          []byte // MD5 in mode md5, otherwise CRC-32C
	etag         string // as the server returned it
}

// digest reads the piece once before it is sent, because its checksum goes into the header. The second read comes from the page
// cache; keeping the piece in memory would take one part for each thread.
func (p *piece) digest(r io.ReaderAt, mode string, buf []byte) error {
	var h hash.Hash = crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if mode == ChecksumMD5 {
		h = md5.New()
	}
	for done := int64(0); done < p.size; {
		next := buf[:min(int64(len(buf)), p.size-done)]
		if err := readAt(r, next, p.offset+done); err != nil {
			return err
		}
		_, _ = h.Write(next) // a hash never fails
		done += int64(len(next))
	}
	p.sum = h.Sum(nil)
	return nil
}

// readAt fills p with the archive's bytes from the offset on.
func readAt(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("read archive: it ends after %d bytes, before byte %d: %w", offset+int64(n), offset+int64(len(p)), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read archive: %w", err)
}

func (p *piece) text() string { return base64.StdEncoding.EncodeToString(p.sum) }

// checksum returns what goes with a piece: Content-MD5, or the header of S3's own checksum.
func (w way) checksum(p *piece) (contentMD5 string, header map[string]string) {
	if w.md5 {
		return p.text(), nil
	}
	return "", map[string]string{headerCRC32C: p.text()}
}

// objectParts is for combining CRC-32C sums.
func objectParts(pieces []piece) []minio.ObjectPart {
	parts := make([]minio.ObjectPart, len(pieces))
	for i, p := range pieces {
		parts[i] = minio.ObjectPart{PartNumber: p.number, Size: p.size, ChecksumCRC32C: p.text()}
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
	if u.md5 {
		return u.compareETag(pieces, stored)
	}
	whole, err := wholeCRC(pieces)
	if err != nil {
		return err
	}
	got, _, _ := strings.Cut(stored.ChecksumCRC32C, "-")
	switch composite, err := minio.ChecksumCRC32C.CompositeChecksum(objectParts(pieces)); {
	case got == "":
		return fmt.Errorf("%w: %w", ErrConfig, errNoChecksum)
	case got == whole:
		return nil
	case err == nil && got == composite.Encoded(): // older servers store the checksum of the parts' checksums
		return nil
	}
	return fmt.Errorf("%w: CRC-32C of the stored object is %s, not %s", ErrChecksum, stored.ChecksumCRC32C, whole)
}

// opaque reports that only an ETag could be compared, and it is not computed from the bytes.
func (u *upload) opaque(stored minio.ObjectInfo) bool {
	return u.md5 && (strings.HasPrefix(u.cfg.SSE, "kms") || strings.HasPrefix(stored.Metadata.Get("X-Amz-Server-Side-Encryption"), "aws:kms"))
}

// compareETag compares the ETag. It is the MD5 of all bytes, or for multipart uploads usually of the parts' MD5s. With a KMS key
// it is neither; then Content-MD5, which the server must compare for each request, is enough.
func (u *upload) compareETag(pieces []piece, stored minio.ObjectInfo) error {
	if u.opaque(stored) {
		return nil
	}
	want := hex.EncodeToString(pieces[0].sum)
	switch {
	case len(pieces) == 1:
	case strings.Contains(stored.ETag, "-"):
		all := md5.New()
		for i := range pieces {
			_, _ = all.Write(pieces[i].sum) // a hash never fails
		}
		want = hex.EncodeToString(all.Sum(nil)) + "-" + strconv.Itoa(len(pieces))
	default: // some servers compute one MD5 over all parts
		whole := piece{size: u.size}
		if err := whole.digest(u.r, ChecksumMD5, make([]byte, digestBuffer)); err != nil {
			return err
		}
		want = hex.EncodeToString(whole.sum)
	}
	if strings.EqualFold(stored.ETag, want) {
		return nil
	}
	// Not every server computes ETags like Amazon's: those of encrypted objects and of objects in parts may be anything.
	if len(pieces) > 1 || !looksLikeMD5(stored.ETag) || stored.Metadata.Get("X-Amz-Server-Side-Encryption") != "" {
		return errReadBack
	}
	return fmt.Errorf("%w: the ETag of the stored object is %s, not %s", ErrChecksum, stored.ETag, want)
}

// errReadBack marks an object whose ETag proves nothing: only its bytes do.
var errReadBack = errors.New("the ETag is not an MD5")

func looksLikeMD5(etag string) bool {
	sum, err := hex.DecodeString(etag)
	return err == nil && len(sum) == md5.Size
}

// verify asks what the server stored. It discards a wrong object, because under its name it would count as a good copy.
func (u *upload) verify(ctx context.Context, pieces []piece) error {
	stored, err := u.stored(ctx)
	if err != nil {
		return err
	}
	err = u.compare(pieces, stored)
	if errors.Is(err, errReadBack) {
		err = u.readBack(ctx)
	}
	switch {
	case errors.Is(err, ErrChecksum) && u.version != "" && stored.VersionID != u.version:
		return u.exists(ctx) // since then, another process has stored its own
	case errors.Is(err, errNoChecksum): // sent again in another way, which compares the object that is there
		return u.explain(ctx, u.reading(), err)
	case errors.Is(err, ErrChecksum):
		return errors.Join(u.explain(ctx, u.reading(), err), u.discard(ctx))
	}
	return err
}

// settle handles an upload that somebody else has aborted, most likely a process that stored the same snapshot and then removed
// incomplete uploads. The upload has succeeded if the stored object is complete. An existing object belongs to the other process
// and stays, whatever it is.
func (u *upload) settle(ctx context.Context, pieces []piece) error {
	stored, err := u.stored(ctx)
	if err != nil {
		return err
	}
	err = u.identical(ctx, pieces, stored)
	if errors.Is(err, ErrChecksum) && !u.replace {
		return u.exists(ctx)
	}
	if errors.Is(err, ErrChecksum) {
		return u.explain(ctx, u.reading(), err)
	}
	return err
}

// stored returns what the server has under the name.
func (u *upload) stored(ctx context.Context) (minio.ObjectInfo, error) {
	info, err := u.stat(ctx, "put", u.object, !u.md5)
	if errors.Is(err, snapshot.ErrNotFound) {
		err = u.explain(ctx, u.reading(), fmt.Errorf("%w: another process has aborted the upload or removed the object", ErrBusy))
	}
	return info, err
}

// stat asks for size and lock, and for the checksum, which some servers refuse; verb is the action for errors.
func (b *Bucket) stat(ctx context.Context, verb string, o object, checksum bool) (minio.ObjectInfo, error) {
	var info minio.ObjectInfo
	err := b.do(ctx, o.reading(verb), func(ctx context.Context) (err error) {
		info, err = b.core.StatObject(ctx, b.cfg.Bucket, o.key, minio.StatObjectOptions{Checksum: checksum, VersionID: o.version})
		return err
	})
	return info, err
}
