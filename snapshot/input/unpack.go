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
	"slices"

	"etcd-rolling-backup/snapshot"
)

const (
	digestSize = sha256.Size
	// sectorSize divides the length of every database. etcd uses this to detect a digest (etcdutl, snapshot/v3_snapshot.go,
	// hasChecksum).
	sectorSize = 512
)

// Options configure Unpack.
type Options struct {
	// SkipHashCheck accepts a database without a digest, or with a digest that does not match, as etcdutl's --skip-hash-check
	// does. It skips nothing for our own archives.
	SkipHashCheck bool
	// Undigested accepts a database without a digest only.
	Undigested bool
	// Progress, if set, receives the decompressed bytes so far and in total (0: unknown). It must not block.
	Progress func(done, total int64)
}

// Unpacked is what Unpack has written.
type Unpacked struct {
	Size     int64  // of the database, bytes, without its digest
	SHA256   string // of the database, hex
	Verified bool   // there was a digest, and it matched
	Damage   error  // of the file around a verified database; wraps snapshot.ErrDamaged and ErrDatabaseIntact; nil: none was found
}

// Unpack writes the database, without its digest, to w, and compares the digest. After an error the written bytes are useless.
// The caller's goroutine writes to w, in pieces of snapshot.PageCachePiece; an error of w stops Unpack. Errors wrap
// snapshot.ErrDamaged, ErrNoDigest or ErrForm, or come from w or the file.
func (in *Input) Unpack(ctx context.Context, w io.Writer, o Options) (Unpacked, error) {
	if in.Size >= 0 {
		if err := in.needDigest(in.Size); err != nil && !o.accepts(err) {
			return Unpacked{}, err // before a byte is written
		}
	}
	r, err := in.open()
	if err != nil {
		return Unpacked{}, in.source.fault(in.Form, err)
	}
	defer r.Close()
	u := &unpacking{in: in, w: w, o: o}
	if in.Manifest == nil { // an archive computes its own hash
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

// unpacking is one call of Unpack.
type unpacking struct {
	in   *Input
	w    io.Writer
	o    Options
	sum  hash.Hash // of the written bytes; nil for an archive
	done int64     // received bytes, with the digest
}

// copy writes all pieces except the last one. It returns that piece, which may contain the digest, and the error that ended the
// reading. err comes from w or ctx.
func (u *unpacking) copy(ctx context.Context, p *pump) (rest []byte, readErr, err error) {
	var held []byte // it may contain the beginning of the digest
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
	for piece := range slices.Chunk(b, snapshot.PageCachePiece) {
		if _, err := u.w.Write(piece); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	return nil
}

// finish verifies, then writes the end of the database. readErr is nil or the error that ended the reading.
func (u *unpacking) finish(rest []byte, readErr error) (Unpacked, error) {
	if errors.Is(readErr, io.EOF) {
		readErr = nil
	}
	body, digest := rest, []byte(nil)
	if u.done%sectorSize == digestSize && len(rest) >= digestSize {
		body, digest = rest[:len(rest)-digestSize], rest[len(rest)-digestSize:]
	}
	result := Unpacked{Size: u.done - int64(len(digest))}
	if err := u.write(body); err != nil {
		return Unpacked{}, err
	}
	damage := u.damage(readErr)
	if u.sum == nil {
		// The archive's reader has compared the digest.
		result.SHA256, result.Verified = u.in.Manifest.RawSHA256, damage == nil || errors.Is(damage, snapshot.ErrDatabaseIntact)
	} else {
		sum := u.sum.Sum(nil)
		result.SHA256, result.Verified = hex.EncodeToString(sum), bytes.Equal(sum, digest)
	}
	switch {
	case damage != nil && (u.in.source.Err() != nil || !result.Verified):
		return Unpacked{}, u.explain(damage)
	case damage != nil && !errors.Is(damage, snapshot.ErrDatabaseIntact):
		damage = snapshot.IntactDatabase(damage)
	case damage == nil && !result.Verified:
		if err := u.mismatch(result, digest); !u.o.accepts(err) {
			return Unpacked{}, u.explain(err)
		}
	}
	result.Damage = damage
	return result, nil
}

// accepts reports whether a database is good enough of which err says why its digest proves nothing.
func (o Options) accepts(err error) bool {
	return o.SkipHashCheck || o.Undigested && errors.Is(err, ErrNoDigest)
}

// damage is what is wrong with the file or its disk, apart from the digest; nil: nothing.
func (u *unpacking) damage(readErr error) error {
	in := u.in
	switch {
	case in.Damage != nil && in.source.Err() == nil: // it says more than what it leads to
		return in.Damage
	case errors.Is(readErr, zip.ErrFormat):
		return fmt.Errorf("%w: zip: member %s has more than the %d bytes that it declares", snapshot.ErrDamaged, quote(in.Member), in.Size)
	case readErr != nil:
		return in.source.fault(in.Form, readErr)
	case in.Size >= 0 && u.done != in.Size:
		return fmt.Errorf("%w: %s: it decompresses to %d bytes, not %d as declared", snapshot.ErrDamaged, in.Form, u.done, in.Size)
	}
	return nil
}

// mismatch says why a database without a matching digest is not accepted.
func (u *unpacking) mismatch(result Unpacked, digest []byte) error {
	if digest == nil {
		return u.in.needDigest(u.done)
	}
	return fmt.Errorf("%w: %s: etcd's digest does not match the database: SHA-256 is %s, the digest is %x",
		snapshot.ErrDamaged, u.in.Form, result.SHA256, digest)
}

func (u *unpacking) explain(err error) error {
	if u.in.Form == FormZstd && u.in.Damage == nil && errors.Is(err, snapshot.ErrDamaged) {
		return fmt.Errorf("%w (it may be an archive of this program whose end is missing)", err)
	}
	return err
}

// needDigest decides by the length of a database whether a digest follows it.
func (in *Input) needDigest(size int64) error {
	switch size % sectorSize {
	case digestSize:
		return nil
	case 0:
		return fmt.Errorf("%w: after the database there is no digest, which etcdctl snapshot save appends and a copy of a "+
			"member's file lacks: it cannot be verified (--skip-hash-check accepts it anyway)", ErrNoDigest)
	}
	return fmt.Errorf("%w: %s: %d bytes are neither complete %d-byte sectors nor such sectors with etcd's digest: the file is cut off",
		snapshot.ErrDamaged, in.Form, size, sectorSize)
}
