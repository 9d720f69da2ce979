package input

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// The compressed forms that this package can read.
const (
	lookGzip = "gzip"
	lookZip  = "a zip archive"
	lookZstd = "zstd"
)

// What a file is that has lost its content (a copy that stopped immediately, a disk that lost the blocks), or never had it (a download
// that got something else).
const (
	lookEmpty   = "empty"
	lookZeros   = "only zeros at the beginning"
	lookPage    = "a web page: did the download require a login?"
	lookXML     = "XML: is it an error message of the download?"
	lookText    = "text"
	lookUnknown = "of an unknown type"
)

func isLost(looks string) bool { return looks == lookEmpty || looks == lookZeros }

// isAnything reports that no form of a snapshot shows, not even one that must be unpacked or decrypted first.
func isAnything(looks string) bool {
	return isLost(looks) || slices.Contains([]string{lookPage, lookXML, lookText, lookUnknown}, looks)
}

// describe tells the user what a file is, by its first bytes, if it is not a database.
func describe(head []byte) string {
	for _, l := range []struct {
		at    int
		magic string
		look  string
	}{
		{0, "\x1f\x8b", lookGzip},
		{0, "PK\x03\x04", lookZip},
		{0, "PK\x05\x06", lookZip}, // an empty one
		{0, "PK\x07\x08", lookZip}, // one part of several
		{0, "\x28\xb5\x2f\xfd", lookZstd},
		{0, "BZh", "bzip2"},
		{0, "\xfd7zXZ\x00", "xz"},
		{0, "\x04\x22\x4d\x18", "lz4"},
		{0, "7z\xbc\xaf\x27\x1c", "a 7z archive"},
		{257, "ustar", "a tar archive"},
		{0, "age-encryption.org/", "encrypted with age: decrypt it first"},
		{0, "-----BEGIN AGE ENCRYPTED FILE", "encrypted with age: decrypt it first"},
		{0, "-----BEGIN PGP MESSAGE", "encrypted with PGP: decrypt it first"},
		{0, "Salted__", "encrypted with openssl: decrypt it first"},
		{0, "\x7fELF", "a program"},
	} {
		if len(head) >= l.at && bytes.HasPrefix(head[l.at:], []byte(l.magic)) {
			return l.look
		}
	}
	// zstd's skippable frames have sixteen magic numbers; parallel compressors begin with one.
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" {
		return lookZstd
	}
	return describeContent(head)
}

// describeContent describes a file without a magic number.
func describeContent(head []byte) string {
	text := bytes.ToLower(bytes.TrimLeft(head[:min(len(head), 512)], "\xef\xbb\xbf \t\r\n"))
	switch {
	case len(head) == 0:
		return lookEmpty
	case len(bytes.Trim(head, "\x00")) == 0:
		return lookZeros
	case bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html")):
		return lookPage
	case bytes.HasPrefix(text, []byte("<?xml")):
		return lookXML
	case isText(head):
		return lookText
	}
	return lookUnknown
}

func isText(head []byte) bool {
	head = head[:min(len(head), 512)]
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 && utf8.FullRune(head) || r < ' ' && !bytes.ContainsRune([]byte("\t\r\n\f\x1b"), r) {
			return false
		}
		head = head[n:]
	}
	return true
}
