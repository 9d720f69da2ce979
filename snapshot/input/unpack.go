package input

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"etcd-rolling-backup/snapshot"
)

const (
	digestSize = sha256.Size
	// sectorSize divides the length of every database; by it etcd tells whether a digest follows (etcdutl,
	// snapshot/v3_snapshot.go, hasChecksum).
	sectorSize = 512
)

// Options say how Unpack works.
type Options struct {
	// SkipHashCheck takes a database without a digest, or with one that does not fit, as etcdutl's --skip-hash-check does.
	// Of an archive of ours nothing is skipped.
	SkipHashCheck bool
	// Progress, if set, hears of the bytes unpacked so far and in all (0: not known). It must not block.
	Progress func(done, total int64)
}

// Unpacked is what Unpack has written.
type Unpacked struct {
	Size   int64  // of the database, bytes, without its digest
	SHA256 string // of the database, hex
	Proven bool   // a digest was there and fits
}

// Unpack writes the database, without its trailing digest, to w and compares the digest on the way: after an error what
// was written is worth nothing. w is written to by the caller's goroutine, in pieces of 1 MiB but for the last; its
// error ends the unpacking. Errors wrap snapshot.ErrDamaged, ErrNoDigest or ErrForm, or are w's or the file's own.
func (in *Input) Unpack(ctx context.Context, w io.Writer, o Options) (Unpacked, error) {
	if in.Size >= 0 && !o.SkipHashCheck {
		if err := in.needDigest(in.Size); err != nil {
			return Unpacked{}, err // before a byte is written
		}
	}
	r, err := in.open()
	if err != nil {
		return Unpacked{}, in.source.fault(in.Form, err)
	}
	defer r.Close()
	u := &unpacking{in: in, w: w, o: o}
	if in.Manifest == nil { // an archive hashes what it gives
		u.sum = sha256.New()
	}
	p := startPump(r)
	defer p.stop()
	rest, readErr, err := u.copy(ctx, p)
	if err != nil {
		return Unpacked{}, err
	}
	return u.finish(rest, readErr)
}

// unpacking is one run of Unpack.
type unpacking struct {
	in   *Input
	w    io.Writer
	o    Options
	sum  hash.Hash // of what was written; nil for an archive
	done int64     // bytes that came, the digest included
}

// copy writes all but the last piece, which it returns with what ended the reading: it may hold the digest. err is w's
// or ctx's.
func (u *unpacking) copy(ctx context.Context, p *pump) (rest []byte, readErr, err error) {
	var held []byte // a digest may begin in it
	for {
		piece := p.next()
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		u.done += int64(len(piece.data))
		u.progress()
		switch {
		case piece.err != nil && len(piece.data) < digestSize:
			return append(held, piece.data...), piece.err, nil
		case held != nil:
			if err := u.write(held); err != nil {
				return nil, nil, err
			}
			p.free(held)
		}
		if piece.err != nil {
			return piece.data, piece.err, nil
		}
		held = piece.data
	}
}

func (u *unpacking) progress() {
	if u.o.Progress != nil {
		u.o.Progress(u.done, max(u.in.Size, 0))
	}
}

func (u *unpacking) write(b []byte) error {
	if u.sum != nil {
		u.sum.Write(b)
	}
	if _, err := u.w.Write(b); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

// finish judges, then writes the last of the database. readErr is nil or what broke the reading off.
func (u *unpacking) finish(rest []byte, readErr error) (Unpacked, error) {
	if errors.Is(readErr, io.EOF) {
		readErr = nil
	}
	body, digest := rest, []byte(nil)
	if u.done%sectorSize == digestSize && len(rest) >= digestSize {
		body, digest = rest[:len(rest)-digestSize], rest[len(rest)-digestSize:]
	}
	result := Unpacked{Size: u.done - int64(len(digest))}
	if u.sum == nil {
		if readErr != nil {
			return Unpacked{}, u.in.source.fault(u.in.Form, readErr)
		}
		result.SHA256, result.Proven = u.in.Manifest.RawSHA256, true
		return result, u.write(body)
	}
	if err := u.write(body); err != nil {
		return Unpacked{}, err
	}
	sum := u.sum.Sum(nil)
	result.SHA256, result.Proven = hex.EncodeToString(sum), bytes.Equal(sum, digest)
	if err := u.judge(result, digest, readErr); err != nil {
		return Unpacked{}, err
	}
	return result, nil
}

// judge says why a database can't be taken.
func (u *unpacking) judge(result Unpacked, digest []byte, readErr error) error {
	in := u.in
	zstd := in.Form == FormZstd
	switch {
	case readErr != nil && zstd && result.Proven && in.source.err.Load() == nil:
		return nil // what is lost came after the digest: an archive's manifest
	case readErr != nil && zstd:
		return cutArchive(in.source.fault(in.Form, readErr))
	case errors.Is(readErr, zip.ErrFormat):
		return fmt.Errorf("%w: zip: member %s holds more than the %d bytes that it declares", snapshot.ErrDamaged, quote(in.Member), in.Size)
	case readErr != nil:
		return in.source.fault(in.Form, readErr)
	case in.Size >= 0 && u.done != in.Size:
		return fmt.Errorf("%w: %s: %d bytes came out of it, %d were declared", snapshot.ErrDamaged, in.Form, u.done, in.Size)
	case u.o.SkipHashCheck || result.Proven:
		return nil
	case digest == nil:
		return in.needDigest(u.done)
	}
	err := fmt.Errorf("%w: %s: etcd's digest does not fit the database: SHA-256 is %s, the digest says %x", snapshot.ErrDamaged, in.Form, result.SHA256, digest)
	if zstd {
		return cutArchive(err)
	}
	return err
}

// needDigest tells by its length whether a database has a digest behind it.
func (in *Input) needDigest(size int64) error {
	switch size % sectorSize {
	case digestSize:
		return nil
	case 0:
		return fmt.Errorf("%w: the database ends without the one that etcdctl snapshot save puts behind it, as a copy of a "+
			"member's file does: nothing proves it whole (--skip-hash-check takes it nevertheless)", ErrNoDigest)
	}
	err := fmt.Errorf("%w: %s: %d bytes are neither whole %d-byte sectors nor such with etcd's digest: it is cut off",
		snapshot.ErrDamaged, in.Form, size, sectorSize)
	if in.Form == FormZstd {
		return cutArchive(err)
	}
	return err
}

// cutArchive says what a zstd file without our manifest may be.
func cutArchive(err error) error {
	if !errors.Is(err, snapshot.ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w (it may be an archive of this program whose end is lost)", err)
}
