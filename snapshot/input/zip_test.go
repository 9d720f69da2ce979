package input_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// The database is found by its content, whatever its name and whatever lies beside it.
func TestZipFindsDatabase(t *testing.T) {
	raw := withDigest(database(1 << 20))
	state := file{"/etc/kubernetes/snap.rkestate", []byte(`{"desiredState": {}}`)}
	for _, name := range []string{"/backup/snap", "../../etc/passwd", "snap", "", "a/b/../c", `C:\x`, "snap.zip", "x\x00\x1b[2J"} {
		for _, b := range [][]byte{
			zipped(t, file{name, raw}),
			zipped(t, state, file{"empty", nil}, file{name, raw}, file{"dir/", nil}, file{"zeros", make([]byte, 100_000)}),
		} {
			got, in, u, err := unpack(b, input.Options{})
			if err != nil || in.Member != name || !u.Verified || len(got) != 1<<20 {
				t.Errorf("member %q: %+v, %v", name, u, err)
			}
		}
	}
}

func TestZipRefuses(t *testing.T) {
	raw := withDigest(database(64 << 10))
	encrypted := patched(t, zipped(t, file{"locked", raw}), func(h []byte) { h[8] |= 1 })
	deflate64 := patched(t, zipped(t, file{"strange", raw}), func(h []byte) { h[10] = 9 })
	for _, x := range []struct {
		name  string
		b     []byte
		words []string
	}{
		{"two databases", zipped(t, file{"../a", raw}, file{"b", []byte("x")}, file{"/c", raw}), []string{"two databases", `"../a"`, `"/c"`}},
		{"none", zipped(t, file{"a.txt", []byte("x")}, file{"b", []byte("PK\x03\x04")}), []string{`"a.txt" is text`, `"b" is a zip archive`}},
		{"many files", emptyFiles(t, 9), []string{`"4" is empty and 4 more`}},
		{"too many files", emptyFiles(t, 10_001), []string{"more than 10000 members"}},
		{"a name for a terminal", zipped(t, file{"\x1b[2J\n" + strings.Repeat("x", 1000), nil}), []string{`"\x1b[2J\nxxx`, `..."`}},
		{"a password", encrypted, []string{`"locked" is encrypted`, "password"}},
		{"an unknown method", deflate64, []string{`"strange" is compressed with method 9`}},
	} {
		_, err := open(x.b)
		refused(t, x.name, err, input.ErrForm, x.words...)
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("%s: an error of %d bytes", x.name, len(err.Error()))
		}
	}
	if got, in, _, err := unpack(emptyFiles(t, 10_000), input.Options{}); err == nil {
		t.Errorf("%d bytes came out of empty members: %+v", len(got), in)
	}
}

// emptyFiles is a zip of that many members.
func emptyFiles(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := range n {
		_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprint(i)})
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// patched alters the header of the first member in a zip's directory.
func patched(t *testing.T, b []byte, alter func(header []byte)) []byte {
	t.Helper()
	at := bytes.Index(b, []byte("PK\x01\x02"))
	if at < 0 {
		t.Fatal("no directory")
	}
	alter(b[at:])
	return b
}

// A directory of a million entries ends the reading, not the memory.
func TestZipDirectoryIsBounded(t *testing.T) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for range 140_000 {
		_, err := w.CreateRaw(&zip.FileHeader{Name: strings.Repeat("x", 20)})
		must(t, err)
	}
	must(t, w.Close())
	_, err := open(out.Bytes())
	refused(t, "large directory", err, input.ErrForm, "more than 10000 members")
}

// zeros deflates head and then zeros up to size bytes, without holding them.
func zeros(t *testing.T, head []byte, size int64) (packed []byte, crc uint32) {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	must(t, err)
	sum := crc32.NewIEEE()
	both := io.MultiWriter(w, sum)
	write := func(b []byte) []byte {
		_, err := both.Write(b)
		must(t, err)
		must(t, w.Flush())
		defer out.Reset()
		return bytes.Clone(out.Bytes())
	}
	piece := make([]byte, 1<<20)
	packed = append(write(head), write(piece)...)
	again := write(piece) // its matches lie in zeros, so it may be repeated
	packed = append(packed, again...)
	left := size - int64(len(head)) - 2<<20
	for ; left >= 1<<20; left -= 1 << 20 {
		packed = append(packed, again...)
		_, _ = sum.Write(piece)
	}
	packed = append(packed, write(piece[:left])...)
	must(t, w.Close())
	return append(packed, out.Bytes()...), sum.Sum32()
}

// bomb is a zip whose only member declares a size.
func bomb(t *testing.T, packed []byte, crc uint32, declared uint64) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	m, err := w.CreateRaw(&zip.FileHeader{
		Name: "bomb", Method: zip.Deflate, CRC32: crc, CompressedSize64: uint64(len(packed)), UncompressedSize64: declared,
	})
	must(t, err)
	_, err = m.Write(packed)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// countWriter counts and keeps nothing.
type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}

// Hundreds of megabytes in a few: zeros are refused at their first bytes, what lies about its size as soon as that is
// passed, and what tells the truth can be refused by its size.
func TestZipBombs(t *testing.T) {
	const size = 512<<20 + 32
	packed, crc := zeros(t, nil, size)
	_, err := open(bomb(t, packed, crc, size))
	refused(t, "zeros", err, input.ErrForm, `"bomb" is only zeros`)

	packed, crc = zeros(t, database(4096), size)
	in, err := open(bomb(t, packed, crc, size))
	must(t, err)
	if in.Size != size {
		t.Errorf("declares %d bytes, told are %d", size, in.Size)
	}
	if _, err := in.Unpack(t.Context(), &narrow{3 << 20}, input.Options{}); err == nil || !strings.Contains(err.Error(), errDisk.Error()) {
		t.Errorf("on a small disk: %v", err)
	}
	for _, declared := range []uint64{4096, 1<<20 + 32, 8 << 20} {
		in, err := open(bomb(t, packed, crc, declared))
		must(t, err)
		var n countWriter
		_, err = in.Unpack(t.Context(), &n, skip())
		refused(t, "more than declared", err, snapshot.ErrDamaged, fmt.Sprintf("more than the %d bytes", declared))
		if uint64(n) > declared {
			t.Errorf("%d bytes came out, %d were declared", n, declared)
		}
	}
	small, sum := zeros(t, database(4096), 16<<20+32)
	if got, _, u, err := unpack(bomb(t, small, sum, 16<<20+32), skip()); err != nil || len(got) != 16<<20 || u.Verified {
		t.Errorf("one that tells the truth: %d bytes and %v", len(got), err)
	}
	for _, declared := range []uint64{size + 512, 1<<40 + 32, math.MaxInt64 - 479} { // zip64
		in, err := open(bomb(t, packed[:1000], crc, declared))
		must(t, err)
		if uint64(in.Size) != declared {
			t.Errorf("%d bytes are declared, told are %d", declared, in.Size)
		}
		_, err = in.Unpack(t.Context(), io.Discard, skip())
		refused(t, "fewer than declared", err, snapshot.ErrDamaged)
	}
	_, err = open(bomb(t, packed, crc, math.MaxUint64-1))
	refused(t, "more bytes than there are numbers", err, snapshot.ErrDamaged, "declares")
}

// What another program wrote, with zip64 records for a small member, reads as well; and its output to a pipe, whose
// directory points to nowhere, is damaged and no disk's fault.
func TestZip64(t *testing.T) {
	raw := withDigest(database(1 << 20))
	path := filepath.Join(t.TempDir(), "snap.zip")
	run(t, raw, "zip", "-fz", path, "-")
	b, err := os.ReadFile(path)
	must(t, err)
	got, in, _, err := unpack(b, input.Options{})
	if err != nil || in.Size != int64(len(raw)) || len(got) != 1<<20 {
		t.Errorf("%d bytes and %v", len(got), err)
	}
	astray := zipped(t, file{"snap", raw})
	end := bytes.Index(astray, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint32(astray[end+16:], math.MaxUint32-1) // where the directory begins
	_, err = open(astray)
	refused(t, "a directory that is nowhere", err, snapshot.ErrDamaged)
}
