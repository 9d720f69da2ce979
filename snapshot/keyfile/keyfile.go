// Package keyfile reads the files that hold certificates, keys and passwords.
//
// Invariants: the byte order mark that some editors write is not part of a file's text; no error quotes what is in a file; only regular
// files of at most 1 MiB are read, so that no setting makes the program wait or fill the memory. A pipe is none: most files are read again
// for each run, and a pipe has its content once.
package keyfile

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"etcd-rolling-backup/internal/regular"
)

var (
	// ErrPassphrase marks a key that is encrypted with a passphrase.
	ErrPassphrase = errors.New("has a passphrase, and a backup runs without anybody to type it")
	// ErrEncoding marks a text that is not UTF-8.
	ErrEncoding = errors.New("is UTF-16 text: save it as UTF-8")
)

const mark = "\ufeff" // in UTF-8

// limit is larger than any bundle of certificates: that of the system has a quarter of it.
const limit = 1 << 20

// Read returns the content of a file as it is. Errors are those of [regular.Read].
func Read(path string) ([]byte, error) { return regular.Read(path, 0, limit) }

// Text returns the text of a file, without a byte order mark. Errors wrap that of Read, or ErrEncoding.
func Text(path string) ([]byte, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s %w", path, ErrEncoding)
	}
	return bytes.TrimPrefix(data, []byte(mark)), nil
}

// PEM returns the text of a file with PEM blocks. In one that was joined from several files, each may have had its mark.
func PEM(path string) ([]byte, error) {
	text, err := Text(path)
	return Unmark(text), err
}

// Unmark removes all byte order marks. Before a PEM block, one hides the block.
func Unmark(text []byte) []byte { return bytes.ReplaceAll(text, []byte(mark), nil) }

// Pair reads a certificate and its key. Errors wrap those of PEM, or ErrPassphrase.
func Pair(cert, key string) (tls.Certificate, error) {
	certPEM, err := PEM(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := PEM(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if encrypted(keyPEM) {
		return tls.Certificate{}, fmt.Errorf("the key %s %w: remove it with: openssl pkey -in %s -out NEWFILE, and use the new file", key, ErrPassphrase, key)
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// encrypted reports whether the key is encrypted, in the form of PKCS #8 or in the older one, which has a header.
func encrypted(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") { // the one that crypto/tls takes
			return block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
		}
	}
	return false
}
