package input_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// wrapping is one form of the same snapshot.
type wrapping struct {
	form input.Form
	wrap func(t testing.TB, raw []byte) []byte
	size bool // it declares its unpacked size
}

func wrappings() []wrapping {
	return []wrapping{
		{input.FormArchive, archive, true},
		{input.FormDatabase, func(_ testing.TB, raw []byte) []byte { return raw }, true},
		{input.FormGzip, gzipped, false},
		{input.FormZip, rkeZip, true},
		{input.FormZstd, zstded, false},
	}
}

// Sizes stand on both sides of the pieces that bytes pass through, so that the digest lies in one and across two.
func TestUnpackEveryForm(t *testing.T) {
	const sector, piece = 512, 1 << 20
	for _, size := range []int{2 * sector, 64 << 10, piece - sector, piece, piece + sector, 2*piece - sector, 2 * piece, 5*piece + sector} {
		db := database(size)
		raw := withDigest(db)
		for _, w := range wrappings() {
			t.Run(fmt.Sprintf("%s of %d", w.form, size), func(t *testing.T) {
				var last, total int64
				got, in, u, err := unpack(w.wrap(t, raw), input.Options{Progress: func(d, n int64) { last, total = d, n }})
				must(t, err)
				if !bytes.Equal(got, db) || u != (input.Unpacked{Size: int64(size), SHA256: hexSum(db), Verified: true}) {
					t.Errorf("%d bytes came out and %+v", len(got), u)
				}
				wantSize, wantTotal := int64(-1), int64(0)
				if w.size {
					wantSize, wantTotal = int64(len(raw)), int64(len(raw))
				}
				if in.Form != w.form || in.Size != wantSize || (in.Manifest != nil) != (w.form == input.FormArchive) {
					t.Errorf("recognized as %+v", in)
				}
				if last != int64(len(raw)) || total != wantTotal {
					t.Errorf("progress ended at %d of %d", last, total)
				}
			})
		}
	}
}

// Without a digest, or with one that does not fit, etcdutl's flag decides; an archive is proven always.
func TestSkipHashCheck(t *testing.T) {
	const size = 1<<20 + 512
	db := database(size)
	wrong := withDigest(db)
	wrong[len(wrong)-1]++
	for _, w := range wrappings() {
		if w.form == input.FormArchive {
			continue
		}
		_, _, _, err := unpack(w.wrap(t, db), input.Options{})
		refused(t, string(w.form)+" without digest", err, input.ErrNoDigest, "--skip-hash-check")
		_, _, _, err = unpack(w.wrap(t, wrong), input.Options{})
		refused(t, string(w.form)+" with a wrong digest", err, snapshot.ErrDamaged, "digest", hexSum(db))
		for name, raw := range map[string][]byte{"no": db, "a wrong": wrong} {
			got, _, u, err := unpack(w.wrap(t, raw), skip())
			if err != nil || !bytes.Equal(got, db) || u != (input.Unpacked{Size: size, SHA256: hexSum(db)}) {
				t.Errorf("%s with %s digest: %d bytes, %+v, %v", w.form, name, len(got), u, err)
			}
		}
	}
}

// Cut at any place and altered anywhere, nothing passes for whole; of a zstd file only the end after the digest may go.
func TestDamage(t *testing.T) {
	db := database(300 << 10)
	for _, w := range wrappings() {
		whole := w.wrap(t, withDigest(db))
		for i := range 30 {
			at := len(whole) * i / 30
			demandNoFalseProof(t, fmt.Sprintf("%s cut at %d of %d", w.form, at, len(whole)), whole[:at], db)
			altered := bytes.Clone(whole)
			altered[at] ^= 0x10
			demandNoFalseProof(t, fmt.Sprintf("%s altered at %d of %d", w.form, at, len(whole)), altered, db)
		}
	}
}

func demandNoFalseProof(t *testing.T, name string, b, db []byte) {
	t.Helper()
	got, _, u, err := unpack(b, input.Options{})
	if err == nil {
		if !bytes.Equal(got, db) || !u.Verified {
			t.Errorf("%s: %d bytes pass for whole: %+v", name, len(got), u)
		}
		return
	}
	if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, input.ErrForm) && !errors.Is(err, input.ErrNoDigest) {
		t.Errorf("%s: %v", name, err)
	}
}

// An archive that lost its manifest is a zstd file whose digest still proves the database; one that lost more is damaged,
// and told what it may be.
func TestArchiveWithoutEnd(t *testing.T) {
	db := database(2 << 20)
	packed := archive(t, withDigest(db))
	_, data, err := snapshot.DecodeTail(packed[max(0, len(packed)-snapshot.TailSize):], int64(len(packed)))
	must(t, err)
	for name, b := range map[string][]byte{
		"no manifest": packed[:data], "one byte of it": packed[:data+1], "a piece of it": packed[:data+100],
		"its last byte missing": packed[:len(packed)-1], "a byte more": append(bytes.Clone(packed), 'x'),
	} {
		got, in, u, err := unpack(b, input.Options{})
		if err != nil || in.Form != input.FormZstd || in.Manifest != nil || !u.Verified || !bytes.Equal(got, db) {
			t.Errorf("%s: %d bytes, %+v, %v", name, len(got), u, err)
		}
	}
	for _, cut := range []int64{data / 2, data - 40} {
		_, _, _, err := unpack(packed[:cut], input.Options{})
		refused(t, fmt.Sprintf("cut at %d", cut), err, snapshot.ErrDamaged, "archive of this program whose end is missing")
		_, _, _, err = unpack(packed[:cut], skip())
		refused(t, fmt.Sprintf("cut at %d, unchecked", cut), err, snapshot.ErrDamaged, "cut off")
	}
}

func TestReadsAsTold(t *testing.T) {
	db := database(100 << 10)
	for _, w := range wrappings() {
		b := w.wrap(t, withDigest(db))
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with error": iotest.DataErrReader,
		} {
			in, err := input.Open(readerAt{b, func(r io.Reader, _ int64) io.Reader { return wrap(r) }}, int64(len(b)))
			must(t, err)
			var out bytes.Buffer
			if _, err := in.Unpack(t.Context(), &out, input.Options{}); err != nil || !bytes.Equal(out.Bytes(), db) {
				t.Errorf("%s, %s: %d bytes and %v", w.form, name, out.Len(), err)
			}
		}
	}
}

// A disk that fails must not cost a good snapshot its reputation.
func TestFailedReadIsNoDamage(t *testing.T) {
	for _, w := range wrappings() {
		b := w.wrap(t, withDigest(database(2<<20)))
		size := int64(len(b))
		for _, place := range []int64{0, 3, 300 << 10, size / 2, size - 2} {
			broken := readerAt{b, func(r io.Reader, off int64) io.Reader {
				if off > place {
					return r
				}
				return io.MultiReader(io.LimitReader(r, place-off), iotest.ErrReader(errDisk))
			}}
			in, err := input.Open(broken, size)
			if err == nil {
				_, err = in.Unpack(t.Context(), io.Discard, skip())
			}
			if !errors.Is(err, errDisk) || errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, input.ErrForm) {
				t.Errorf("%s: read fails at byte %d of %d: %v", w.form, place, size, err)
			}
		}
	}
}

// A full disk and an end of the context are told as they are, and at once.
func TestUnpackStopsWithContextOrWriter(t *testing.T) {
	const size = 3 << 20
	for _, w := range wrappings() {
		b := w.wrap(t, withDigest(database(size)))
		in, err := open(b)
		must(t, err)
		for _, room := range []int{0, 1, 1 << 20, size / 2, size - 1} {
			if _, err := in.Unpack(t.Context(), &narrow{room}, input.Options{}); !errors.Is(err, errDisk) {
				t.Errorf("%s: room for %d bytes: %v", w.form, room, err)
			}
		}
		if _, err := in.Unpack(t.Context(), &narrow{size}, input.Options{}); err != nil {
			t.Errorf("%s: room for all: %v", w.form, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var last int64
		_, err = in.Unpack(ctx, io.Discard, input.Options{Progress: func(done, _ int64) {
			last = done
			cancel(errDisk)
		}})
		if !errors.Is(err, errDisk) || last > 1<<20 {
			t.Errorf("%s: stopped after %d bytes with %v", w.form, last, err)
		}
	}
}
