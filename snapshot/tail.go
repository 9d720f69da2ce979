package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// The end of an archive is one zstd skippable frame (RFC 8878, section 3.1.2), which every decoder skips:
//
//	magic     4 bytes  0x184D2A5E, little endian
//	size      4 bytes  length of what follows
//	manifest  n bytes  JSON
//	footer   52 bytes  data length (8), manifest length (4), SHA-256 (32), footer magic (8)
//
// Numbers are little endian. The SHA-256 covers the manifest and the two lengths, the magics are compared, and the manifest
// contains the digest of the data: every bit of the file is checked.
const (
	skippableMagic  = 0x184D2A5E
	skippableHeader = 8
	footerSize      = 8 + 4 + sha256.Size + len(footerMagic)
	footerMagic     = "etcdRB\x001"

	// TailSize is the number of bytes at the end of an archive that always contain the complete manifest.
	TailSize = 64 << 10

	maxManifest = TailSize - skippableHeader - footerSize
)

// encodeTail returns the skippable frame for an archive of dataSize compressed bytes.
func encodeTail(m Manifest, dataSize int64) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if len(body) > maxManifest {
		return nil, fmt.Errorf("encode manifest: %d bytes are more than the %d that fit", len(body), maxManifest)
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, skippableMagic)
	b = le.AppendUint32(b, uint32(len(body)+footerSize)) //nolint:gosec // bounded by maxManifest
	b = append(b, body...)
	lengths := le.AppendUint64(nil, uint64(dataSize))     //nolint:gosec // a file's size
	lengths = le.AppendUint32(lengths, uint32(len(body))) //nolint:gosec // bounded by maxManifest
	sum := sha256.Sum256(append(bytes.Clone(body), lengths...))
	b = append(append(b, lengths...), sum[:]...)
	return append(b, footerMagic...), nil
}

// DecodeTail reads the manifest from the last bytes of an archive of fileSize bytes in all; tail is
// min(fileSize, TailSize) bytes. dataSize is the length of the compressed data at the file's start.
// Errors wrap ErrDamaged or ErrFormat.
func DecodeTail(tail []byte, fileSize int64) (m Manifest, dataSize int64, err error) {
	if len(tail) < skippableHeader+footerSize {
		return m, 0, fmt.Errorf("%w: %d bytes are too few for an archive", ErrDamaged, fileSize)
	}
	le := binary.LittleEndian
	footer := tail[len(tail)-footerSize:]
	if string(footer[footerSize-len(footerMagic):]) != footerMagic {
		return m, 0, fmt.Errorf("%w: the end is cut off or overwritten: it has no manifest", ErrDamaged)
	}
	dataSize = int64(le.Uint64(footer)) //nolint:gosec // compared with the file's size below
	bodySize := int64(le.Uint32(footer[8:]))
	frame := skippableHeader + bodySize + int64(footerSize)
	if frame > int64(len(tail)) || dataSize != fileSize-frame {
		return m, 0, fmt.Errorf("%w: the footer's lengths do not match a file of %d bytes", ErrDamaged, fileSize)
	}
	header := tail[int64(len(tail))-frame:]
	body := header[skippableHeader : skippableHeader+bodySize]
	sum := sha256.Sum256(append(bytes.Clone(body), footer[:12]...))
	switch {
	case le.Uint32(header) != skippableMagic || int64(le.Uint32(header[4:])) != bodySize+int64(footerSize):
		return m, 0, fmt.Errorf("%w: the manifest's frame header is altered", ErrDamaged)
	case !bytes.Equal(sum[:], footer[12:12+sha256.Size]):
		return m, 0, fmt.Errorf("%w: the manifest does not match its checksum", ErrDamaged)
	}
	m, err = decodeManifest(body)
	return m, dataSize, err
}
