package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// digestSize is the length of the SHA-256 that etcd sends after the database.
const digestSize = sha256.Size

// sectorSize divides the length of every bbolt database. etcdctl uses this to detect whether a digest follows.
const sectorSize = 512

var errDigest = errors.New("etcd's digest does not match the bytes before it")

// digest hashes a stream in etcd's format, a database followed by its digest, and compares the two. It holds back the last 32
// bytes, because they may be the digest.
type digest struct {
	sum  hash.Hash
	tail []byte // at most digestSize bytes, not yet in sum
	size int64
}

func newDigest() *digest {
	return &digest{sum: sha256.New(), tail: make([]byte, 0, digestSize)}
}

// Write never fails.
func (d *digest) Write(p []byte) (int, error) {
	n := len(p)
	d.size += int64(n)
	if n >= digestSize {
		d.sum.Write(d.tail)
		d.sum.Write(p[:n-digestSize])
		d.tail = append(d.tail[:0], p[n-digestSize:]...)
		return n, nil
	}
	if over := len(d.tail) + n - digestSize; over > 0 {
		d.sum.Write(d.tail[:over])
		d.tail = d.tail[:copy(d.tail, d.tail[over:])]
	}
	d.tail = append(d.tail, p...)
	return n, nil
}

// check reports whether the written bytes are a database and its digest. It returns the digest in hex.
func (d *digest) check() (string, error) {
	if d.size%sectorSize != digestSize || d.size == digestSize {
		return "", fmt.Errorf("%d bytes are not a database of complete %d-byte sectors followed by a %d-byte digest", d.size, sectorSize, digestSize)
	}
	got := d.sum.Sum(nil)
	if !bytes.Equal(got, d.tail) {
		return "", fmt.Errorf("%w: %x, not %x", errDigest, got, d.tail)
	}
	return hex.EncodeToString(got), nil
}
