package s3

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/time/rate"

	"etcd-rolling-backup/snapshot"
)

const (
	uploadThreads = 4
	partSize      = 16 << 20
	digestBuffer  = 256 << 10
	maxParts      = 10_000  // Amazon's limit
	maxObject     = 5 << 40 // bytes, Amazon's limit
)

// upload is one archive that is being uploaded.
type upload struct {
	*Bucket
	object
	way      // of this try
	r        io.ReaderAt
	size     int64
	parts    bool          // in parts, even if one request is enough
	replace  bool          // an existing object may be overwritten
	lockFor  time.Duration // 0: not locked
	progress func(done, total int64)
	crc32c   []byte                      // the checksum that all bytes must have; nil: not known
	check    func(context.Context) error // reads and verifies all of it; nil: that was done, or cannot be
	version  string                      // that the server has given to the object; "": none, as in a bucket without versions

	mu   sync.Mutex
	done int64
}

// PutArchive verifies and stores the archive. It returns nil only after the server has reported the right size and checksum of
// what it stored. progress may be nil; it is called for all that is sent, by one goroutine at a time, and done decreases when a piece
// must be sent again. If the archive is in the bucket already, nothing is sent. A failed upload leaves nothing new under the name, except if the server stops answering after the last byte: then the
// object may be complete. Several goroutines read the archive.
//
// Without replace, an existing object is never changed: if it is not this archive, the error wraps snapshot.ErrExists. On a server
// that does not know If-None-Match, a writer at the same moment may still overwrite it.
//
// A damaged archive wraps snapshot.ErrDamaged and never gets its name in the bucket. If the server supports S3's own checksums
// and the archive has one, the check costs no time: the checksums of the parts give the checksum of the whole after all parts are
// sent. Otherwise the archive is read once before the upload.
func (b *Bucket) PutArchive(ctx context.Context, n snapshot.Name, a *snapshot.Archive, replace bool, progress func(done, total int64)) error {
	return b.putSealed(ctx, b.objectOf(n), a, a.Size, replace, progress)
}

// Sealed is a file that says what its bytes must be: *snapshot.Archive and *snapshot.SealedSegment are such files.
type Sealed interface {
	io.ReaderAt
	// CRC32C returns the checksum of the whole file, without reading it; false: the file does not say it.
	CRC32C() (sum uint32, known bool)
	// VerifyChecksum reads the file. Damage wraps snapshot.ErrDamaged.
	VerifyChecksum(ctx context.Context) error
}

func (b *Bucket) putSealed(ctx context.Context, o object, s Sealed, size int64, replace bool, progress func(done, total int64)) error {
	u := b.upload(o, s, size)
	u.replace, u.check = replace, s.VerifyChecksum
	if sum, known := s.CRC32C(); known {
		u.crc32c = binary.BigEndian.AppendUint32(nil, sum)
	}
	if progress != nil {
		u.progress = progress
	}
	return u.run(ctx)
}

func (b *Bucket) upload(o object, r io.ReaderAt, size int64) *upload {
	return &upload{Bucket: b, object: o, r: r, size: size, lockFor: b.cfg.LockFor, progress: func(int64, int64) {}}
}

func (u *upload) run(ctx context.Context) error {
	if u.size < 0 || u.size > maxObject {
		return fmt.Errorf("put %s: %d bytes: S3 takes objects of 0 bytes to 5 TiB", u.name, u.size)
	}
	var refused error
	for _, w := range u.ways() {
		u.way = w
		err := u.try(ctx)
		if err == nil {
			u.learn(w)
		}
		if !refusesHeader(err) {
			return err
		}
		refused = cmp.Or(refused, err)
	}
	return refused
}

// try sends the archive in one way.
func (u *upload) try(ctx context.Context) error {
	if u.check != nil && (u.crc32c == nil || u.md5) {
		if err := u.check(ctx); err != nil {
			return fmt.Errorf("put %s: %w", u.name, err)
		}
		u.check = nil
	}
	if u.size > partSize || u.parts {
		return u.multipart(ctx)
	}
	return u.single(ctx)
}

// verifyRead compares the bytes that were read with the archive's checksum, before anything gets its name in the bucket.
func (u *upload) verifyRead(pieces []piece) error {
	if u.crc32c == nil || u.md5 {
		return nil
	}
	got, err := wholeCRC(pieces)
	if err != nil {
		return err
	}
	if want := base64.StdEncoding.EncodeToString(u.crc32c); got != want {
		return fmt.Errorf("put %s: %w: CRC-32C of the archive is %s, not %s as in the manifest", u.name, snapshot.ErrDamaged, got, want)
	}
	return nil
}

func (u *upload) op() op {
	o := op{doing: "put " + u.name, action: "s3:PutObject", long: true}
	if u.lockFor > 0 {
		o.action += " and s3:PutObjectRetention"
	}
	return o
}

// reading is an op that compares what is stored.
func (u *upload) reading() op { return op{doing: "put " + u.name, action: "s3:GetObject"} }

func (u *upload) count(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done += n
	u.progress(u.done, u.size)
}

// options returns the options of the object, with extra headers.
func (u *upload) options(extra map[string]string) minio.PutObjectOptions {
	o := u.put
	if strings.HasSuffix(u.name, ".zip") {
		o.ContentType = "application/zip"
	}
	o.UserMetadata = maps.Clone(extra)
	if u.lockFor > 0 {
		o.Mode = u.cfg.lockMode()
		o.RetainUntilDate = time.Now().Add(u.lockFor).UTC()
	}
	return o
}

// condition adds to the request that gives the object its name that the name must be free.
func (u *upload) condition(o *minio.PutObjectOptions) {
	if !u.replace && !u.unconditional {
		o.SetMatchETagExcept("*")
	}
}

func (u *upload) single(ctx context.Context) error {
	p := &piece{size: u.size}
	if err := p.digest(u.r, u.mode(), make([]byte, digestBuffer)); err != nil {
		return fmt.Errorf("put %s: %w", u.name, err)
	}
	pieces := []piece{*p}
	if err := u.verifyRead(pieces); err != nil {
		return err
	}
	if !u.replace {
		if done, err := u.taken(ctx, pieces); done || err != nil {
			return err
		}
	}
	contentMD5, header := u.checksum(p)
	opts := u.options(header)
	u.condition(&opts)
	err := u.send(ctx, p, func(ctx context.Context, body io.Reader) error {
		info, err := u.core.PutObject(ctx, u.cfg.Bucket, u.key, body, p.size, contentMD5, "", opts)
		u.version = info.VersionID
		return err
	})
	if err != nil {
		return u.unlessTaken(ctx, pieces, err)
	}
	return u.verify(ctx, pieces)
}

// send makes a request with the piece as its body.
func (u *upload) send(ctx context.Context, p *piece, request func(context.Context, io.Reader) error) error {
	return u.do(ctx, u.op(), func(ctx context.Context) error {
		disk := &snapshot.Disk{ReaderAt: u.r}
		body := &section{ctx: ctx, r: io.NewSectionReader(disk, p.offset, p.size), limit: u.limit, count: u.count}
		err := request(ctx, body)
		if err == nil {
			return nil
		}
		body.takeBack()
		if own := disk.Err(); own != nil {
			return &callError{text: fmt.Sprintf("put %s: read archive: %v", u.name, own), err: own}
		}
		return err
	})
}

// maxChunk is how many bytes net/http reads from a body at a time.
const maxChunk = 32 << 10

// newLimit allows only small pieces at a time, so that each wait is much shorter than Stall, even if all threads wait.
func newLimit(bytesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(maxChunk, max(bytesPerSecond/8, 1))))
}

// section is the body of one request: a piece of the archive, counted and limited in rate. It has no Seek: each try gets a new
// one.
type section struct {
	ctx   context.Context //nolint:containedctx // io.Reader takes none, and a wait for the rate limit must end with the call
	r     io.Reader
	limit *rate.Limiter
	count func(int64)

	mu   sync.Mutex
	sent int64
	over bool // the try has failed; the transport's goroutine may read a little more
}

// Read is called by the HTTP transport's goroutine.
func (s *section) Read(p []byte) (int, error) {
	if s.limit != nil {
		p = p[:min(len(p), s.limit.Burst())]
	}
	n, err := s.r.Read(p)
	if n > 0 && s.limit != nil {
		if waitErr := s.limit.WaitN(s.ctx, n); waitErr != nil {
			return 0, waitErr
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, io.ErrClosedPipe
	}
	s.sent += int64(n)
	s.count(int64(n))
	return n, err
}

// takeBack subtracts what a failed try has sent.
func (s *section) takeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.count(-s.sent)
}
