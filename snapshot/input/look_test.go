package input_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// What is no snapshot is named for what it looks like, beside what is accepted.
func TestRefusesOtherFiles(t *testing.T) {
	raw := withDigest(database(64 << 10))
	tar := make([]byte, 1024)
	copy(tar, "snap.db")
	copy(tar[257:], "ustar")
	for want, b := range map[string][]byte{
		"the file is empty":                  nil,
		"encrypted with age":                 []byte("age-encryption.org/v1\n-> X25519 abc\n"),
		"age: decrypt it first":              []byte("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n"),
		"encrypted with PGP":                 []byte("-----BEGIN PGP MESSAGE-----\n\n"),
		"encrypted with openssl":             []byte("Salted__12345678\x01\x02"),
		"a web page":                         []byte("\n <!DOCTYPE HTML><html><title>Sign in</title>"),
		"is XML":                             []byte(`<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>`),
		"is text":                            []byte("äöü: rpc error: code = Unavailable\n"),
		"is xz":                              []byte("\xfd7zXZ\x00\x00\x04"),
		"is bzip2":                           []byte("BZh91AY&SY"),
		"is lz4":                             []byte("\x04\x22\x4d\x18aa"),
		"a 7z archive":                       []byte("7z\xbc\xaf\x27\x1c\x00"),
		"a tar archive":                      tar,
		"only zeros":                         make([]byte, 100_000),
		"of an unknown type":                 {0x01, 0x02, 0x03, 0xff},
		"gzip file, and its content is zstd": gzipped(t, archive(t, raw)),
		"its content is gzip":                gzipped(t, gzipped(t, raw)),
		"its content is a tar archive":       gzipped(t, tar),
		"its content is empty":               gzipped(t, nil),
		"its content is a zip archive":       gzipped(t, rkeZip(t, raw)),
		"zstd file, and its content is gzip": zstded(t, gzipped(t, raw)),
		"its content is zstd":                zstded(t, zstded(t, raw)),
		"its content is only zeros":          zstded(t, make([]byte, 1<<20)),
		`"s.gz" is gzip`:                     zipped(t, file{"s.gz", gzipped(t, raw)}),
		`"s.db.zst" is zstd`:                 zipped(t, file{"s.db.zst", archive(t, raw)}),
		"it contains no files":               zipped(t),
	} {
		_, err := open(b)
		refused(t, want, err, input.ErrForm, want, "accepted: ")
		lost := slices.ContainsFunc([]string{"empty", "only zeros", "web page", "is XML", "is text", "unknown type"}, func(w string) bool {
			return strings.Contains(want, w)
		})
		if errors.Is(err, snapshot.ErrDamaged) != lost {
			t.Errorf("%s: counts as damaged: %t", want, !lost)
		}
	}
}

// A torn first meta page is what bbolt has two for; the page size tells where the second one lies.
func TestSecondMetaPage(t *testing.T) {
	for size := 512; size <= 64<<10; size *= 2 {
		db := bytes.Repeat([]byte{7}, 128<<10)
		putMeta(db, size, size)
		if got, _, _, err := unpack(withDigest(db), input.Options{}); err != nil || !bytes.Equal(got, db) {
			t.Errorf("pages of %d bytes: %d bytes and %v", size, len(got), err)
		}
		if _, in, _, err := unpack(gzipped(t, withDigest(db)), input.Options{}); err != nil || in.Form != input.FormGzip {
			t.Errorf("pages of %d bytes in gzip: %v", size, err)
		}
		putMeta(db, size, 2*size) // a page that says it lies elsewhere
		_, err := open(withDigest(db))
		refused(t, "a meta page out of place", err, input.ErrForm)
	}
}

// Lengths that no database has.
func TestOddLengths(t *testing.T) {
	db := database(8192)
	for _, size := range []int{20, 100, 512 + 31, 512 + 33, 8191} {
		for _, w := range wrappings()[1:] {
			_, _, _, err := unpack(w.wrap(t, db[:size]), input.Options{})
			refused(t, string(w.form), err, snapshot.ErrDamaged, "complete 512-byte sectors")
			if got, _, u, err := unpack(w.wrap(t, db[:size]), skip()); err != nil || u.Verified || len(got) != size {
				t.Errorf("%s of %d bytes: etcdutl takes it with --skip-hash-check: %d, %v", w.form, size, len(got), err)
			}
		}
	}
}

// An archive of ours is never taken for something else, and its faults are those of the package snapshot.
func TestArchiveOfOurs(t *testing.T) {
	packed := archive(t, withDigest(database(64<<10)))
	altered := bytes.Clone(packed)
	altered[len(altered)-100]++
	in, err := open(altered)
	must(t, err)
	if in.Form != input.FormZstd || in.Manifest != nil {
		t.Errorf("an archive with an altered manifest is recognized as %+v", in)
	}
	refused(t, "altered manifest", in.Damage, snapshot.ErrDamaged, "manifest")
	altered = bytes.Clone(packed)
	altered[1000]++
	_, _, _, err = unpack(altered, skip())
	refused(t, "altered data", err, snapshot.ErrDamaged)
	if strings.Contains(err.Error(), "--skip-hash-check") {
		t.Errorf("offers to skip what is never skipped: %v", err)
	}
}
