package s3

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Learned is what a server has turned out not to take. Buckets that are opened one after the other share one, so that each thing is
// found out, and reported, once.
type Learned struct {
	// Notice is called once for each thing that is found, with a sentence about it; nil: nobody wants to know.
	Notice func(string)

	md5, unconditional atomic.Bool
}

func (l *Learned) set(flag *atomic.Bool, notice string) {
	if flag.CompareAndSwap(false, true) && l.Notice != nil {
		l.Notice(notice)
	}
}

// way is how an upload is sent.
type way struct {
	md5           bool // Content-MD5 and ETag instead of S3's own checksums
	unconditional bool // without If-None-Match
}

func (w way) mode() string {
	if w.md5 {
		return ChecksumMD5
	}
	return ChecksumAuto
}

// bestWay returns the best one that the server is not known to refuse.
func (b *Bucket) bestWay() way {
	return way{md5: b.cfg.Checksum == ChecksumMD5 || b.learned.md5.Load(), unconditional: b.learned.unconditional.Load()}
}

// ways returns those to try, best first. Which header a server refuses is found by leaving it out, because every make of server says it
// in words of its own.
func (u *upload) ways() []way {
	best := u.bestWay()
	all := []way{best}
	for _, w := range []way{{true, false}, {false, true}, {true, true}} {
		less := way{md5: best.md5 || w.md5, unconditional: best.unconditional || w.unconditional && !u.replace}
		if !slices.Contains(all, less) {
			all = append(all, less)
		}
	}
	return all
}

// learn remembers the way that worked.
func (b *Bucket) learn(w way) {
	if w.md5 && b.cfg.Checksum != ChecksumMD5 {
		b.learned.set(&b.learned.md5, "the S3 server takes none of S3's own checksums: from now on uploads are proven by size and MD5, as with --s3-checksum md5")
	}
	if w.unconditional {
		b.learned.set(&b.learned.unconditional, "the S3 server does not know If-None-Match: from now on uploads look first whether the name is free")
	}
}

// errNoChecksum marks a server that ignores S3's own checksums.
var errNoChecksum = errors.New("the server stores none of S3's checksums")

// refusesHeader reports that a request may succeed without the headers that some servers do not know.
func refusesHeader(err error) bool {
	if errors.Is(err, errNoChecksum) {
		return true
	}
	res, ok := response(err)
	if !ok || res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusNotImplemented || !errors.Is(err, ErrConfig) {
		return false
	}
	for _, c := range []string{"Region", "Redirect", "AuthorizationHeader", "StorageClass", "BucketName", "Encryption", "KMS", "ObjectLock", "Retention"} {
		if strings.Contains(res.Code, c) {
			return false
		}
	}
	for _, piece := range []string{"torage class", "KMS", "ncryption", "ObjectLock", "bject Lock", "etention", "HTTPS"} {
		if strings.Contains(res.Message, piece) {
			return false
		}
	}
	return true
}
