package snapshot

import (
	"bytes"
	"encoding/binary"
)

// A bbolt file begins with two meta pages, one of which may be torn (go.etcd.io/bbolt, internal/common: page.go, meta.go):
//
//	page  header, pageHeader bytes
//	meta  magic 4, version 4, page size 4, ...; in the byte order of the machine that wrote it
const (
	zstdMagic   = "\x28\xb5\x2f\xfd"
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	minPage     = 512
	maxPage     = 64 << 10

	// HeadSize is how many bytes IsDatabase needs: they reach into the second meta page of the largest pages.
	HeadSize = maxPage + pageHeader + 12
)

// IsDatabase decides by the first bytes of a file, HeadSize of them if there are so many.
func IsDatabase(head []byte) bool {
	if bytes.HasPrefix(head, []byte(zstdMagic)) { // which keeps some bytes as they are: the magic number may be at the same place
		return false
	}
	if len(head) >= pageHeader+4 && binary.NativeEndian.Uint32(head[pageHeader:]) == metaMagic {
		return true
	}
	for size := minPage; size <= maxPage && len(head) >= size+pageHeader+12; size *= 2 {
		meta := head[size+pageHeader:]
		if binary.NativeEndian.Uint32(meta) == metaMagic && binary.NativeEndian.Uint32(meta[4:]) == metaVersion &&
			binary.NativeEndian.Uint32(meta[8:]) == uint32(size) {
			return true
		}
	}
	return false
}
