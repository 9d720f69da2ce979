package snapshot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
)

// The sizes are just below and above those of buffers, blocks and windows; a database has complete sectors.
func TestArchiveRoundTrip(t *testing.T) {
	const sector = 512
	r := rand.New(rand.NewPCG(3, 4))
	data := partlyRandom(r, 4<<20+sector)
	sizes := []int{sector, 2 * sector}
	for _, n := range []int{messageSize, 128 << 10, 256 << 10, 1 << 20, 2 << 20, 4 << 20} {
		sizes = append(sizes, n-sector, n, n+sector)
	}
	for _, size := range sizes {
		raw := withDigest(data[:size])
		packed := archive(t, raw, manifestA(1))
		got, err := unpack(bytes.NewReader(packed), int64(len(packed)))
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%d bytes: came back as %d bytes and %v", len(raw), len(got), err)
		}
	}
}

// The digest is held back until it is known to be the end, however the stream is split into messages.
func TestArchiveHoldsBackDigest(t *testing.T) {
	raw := withDigest(partlyRandom(rand.New(rand.NewPCG(5, 6)), 1024))
	want := hex.EncodeToString(raw[1024:])
	write := func(name string, pieces ...[]byte) {
		var out bytes.Buffer
		w, err := snapshot.NewWriter(&out)
		must(t, err)
		for _, p := range pieces {
			if n, err := w.Write(p); n != len(p) || err != nil {
				t.Fatalf("%s: wrote %d of %d: %v", name, n, len(p), err)
			}
		}
		m, err := w.Finish(manifestA(1))
		if err != nil || m.RawSHA256 != want || m.RawSize != int64(len(raw)) {
			t.Errorf("%s: %d bytes, digest %s and %v, want %s", name, m.RawSize, m.RawSHA256, err, want)
		}
	}
	for _, size := range []int{1, 2, 31, 32, 33, 63, 64, 65, 512, 1024, 1055, 1056} {
		var pieces [][]byte
		for i := 0; i < len(raw); i += size {
			pieces = append(pieces, raw[i:min(i+size, len(raw))])
		}
		write(fmt.Sprintf("messages of %d", size), pieces...)
	}
	for cut := 1024 - 33; cut <= len(raw); cut++ {
		write(fmt.Sprintf("cut at %d", cut), raw[:cut], nil, raw[cut:])
	}
}

func TestFinishRefusesStreams(t *testing.T) {
	db := partlyRandom(rand.New(rand.NewPCG(7, 8)), 1024)
	raw := withDigest(db)
	altered := bytes.Clone(raw)
	altered[100]++
	short := withDigest(db[:1000])
	for name, stream := range map[string][]byte{
		"nothing": nil, "a digest alone": withDigest(nil), "no digest": db, "half a digest": raw[:len(raw)-16],
		"one byte short": raw[:len(raw)-1], "one byte more": append(bytes.Clone(raw), 0), "one altered": altered,
		"no whole sectors": short, "two digests": withDigest(raw), "fewer bytes than a digest": raw[:31],
	} {
		w, err := snapshot.NewWriter(&bytes.Buffer{})
		must(t, err)
		must(t, inMessages(w, stream, 33))
		if _, err := w.Finish(manifestA(1)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A disk that fails at any write returns its own error, from Write or from Finish.
func TestWriterReportsDisk(t *testing.T) {
	raw := withDigest(partlyRandom(rand.New(rand.NewPCG(9, 10)), 6<<20))
	whole := len(archive(t, raw, manifestA(1)))
	for _, room := range []int{0, 1, whole / 2, whole - 1} {
		w, err := snapshot.NewWriter(&fullDisk{room: room})
		must(t, err)
		if err = inMessages(w, raw, messageSize); err == nil {
			_, err = w.Finish(manifestA(1))
		} else {
			w.Abort()
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("room for %d of %d bytes: %v, want the disk's error", room, whole, err)
		}
	}
}

var errDisk = errors.New("the disk is on fire")

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, errDisk
	}
	d.room -= len(p)
	return len(p), nil
}

// readerAt reads through any reader, as a network file system or a ranged GET might.
type readerAt struct {
	data []byte
	wrap func(r io.Reader, offset int64) io.Reader
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	return io.ReadFull(r.wrap(bytes.NewReader(r.data[off:]), off), p)
}

func TestArchiveReadsAsTold(t *testing.T) {
	raw := withDigest(etcdDatabase(t, 50))
	packed := archive(t, raw, manifestA(51))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with error": iotest.DataErrReader,
	} {
		got, err := unpack(readerAt{packed, func(r io.Reader, _ int64) io.Reader { return wrap(r) }}, int64(len(packed)))
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %d bytes of %d and %v", name, len(got), len(raw), err)
		}
	}
	a, err := snapshot.OpenArchive(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	r, err := a.Raw()
	must(t, err)
	must(t, iotest.TestReader(r, raw))
	must(t, r.Close())
}

// A failed disk must not make a good archive count as damaged.
func TestFailedReadIsNoDamage(t *testing.T) {
	raw := withDigest(etcdDatabase(t, 5000))
	packed := archive(t, raw, manifestA(5001))
	size := int64(len(packed))
	if size < 3*256<<10 {
		t.Fatalf("the archive has only %d bytes: all would come with one read", size)
	}
	r := random(t)
	places := []int64{0, 1, 4, 256<<10 - 1, 256 << 10, 256<<10 + 1, size - 600, size - 1}
	for range 30 {
		places = append(places, r.Int64N(size))
	}
	for _, place := range places {
		broken := readerAt{packed, func(r io.Reader, off int64) io.Reader {
			if off > place {
				return r
			}
			return io.MultiReader(io.LimitReader(r, place-off), iotest.ErrReader(errDisk))
		}}
		_, err := unpack(broken, size)
		if !errors.Is(err, errDisk) || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("read fails at byte %d of %d: %v", place, size, err)
		}
	}
}

// Standard tools decompress exactly what etcd sent.
func TestArchiveIsPlainZstd(t *testing.T) {
	raw := withDigest(etcdDatabase(t, 5000))
	path := filepath.Join(t.TempDir(), nameA().String())
	must(t, os.WriteFile(path, archive(t, raw, manifestA(5001)), 0o600))
	for _, args := range [][]string{{"-dc", path}, {"-dc", "--single-thread", path}} {
		got, err := exec.CommandContext(t.Context(), "zstd", args...).Output()
		if err != nil || sha256.Sum256(got) != sha256.Sum256(raw) {
			t.Errorf("zstd %q gives %d bytes and %v, want %d", args, len(got), err, len(raw))
		}
	}
	if out, err := exec.CommandContext(t.Context(), "zstd", "-tv", path).CombinedOutput(); err != nil {
		t.Errorf("zstd -t: %v: %s", err, out)
	}
}

// A manifest that announces fewer bytes than the data contains stops the decompression there, not when the disk is full.
func TestDecompressionBomb(t *testing.T) {
	const promised, bomb = 1 << 20, 128 << 20
	var data bytes.Buffer
	enc, err := zstd.NewWriter(&data)
	must(t, err)
	for range bomb / promised {
		_, err = enc.Write(make([]byte, promised))
		must(t, err)
	}
	must(t, enc.Close())
	m := manifestA(1)
	sum := sha256.Sum256(data.Bytes())
	m.Format, m.RawSize, m.RawSHA256, m.ArchiveSHA256 = snapshot.Format, promised+32, hex.EncodeToString(sum[:]), hex.EncodeToString(sum[:])
	tail, err := snapshot.EncodeTail(m, int64(data.Len()))
	must(t, err)
	packed := append(data.Bytes(), tail...)

	a, err := snapshot.OpenArchive(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	r, err := a.Raw()
	must(t, err)
	n, err := io.Copy(io.Discard, r)
	if !errors.Is(err, snapshot.ErrDamaged) || n > promised+32 {
		t.Errorf("a bomb of %d bytes in %d: %d bytes came out, %v", bomb, len(packed), n, err)
	}
	must(t, r.Close())
}

// What an archive returns up to io.EOF matches its digests, whatever the file contains.
func FuzzArchive(f *testing.F) {
	raw := withDigest(make([]byte, 1024))
	packed := archive(f, raw, manifestA(1))
	_, data, err := snapshot.DecodeTail(packed, int64(len(packed)))
	must(f, err)
	f.Add(packed, int64(0))
	f.Add(packed[:data], int64(len(raw)))
	f.Add(packed[:data-1], int64(len(raw)))
	f.Add([]byte{}, int64(1))
	// With a size, the bytes are the data of an archive with a good manifest; without, the whole file.
	f.Fuzz(func(t *testing.T, b []byte, rawSize int64) {
		if rawSize != 0 {
			m := manifestA(1)
			sum := sha256.Sum256(b)
			m.Format, m.RawSize, m.ArchiveSHA256 = snapshot.Format, rawSize, hex.EncodeToString(sum[:])
			m.RawSHA256 = hex.EncodeToString(raw[1024:])
			tail, err := snapshot.EncodeTail(m, int64(len(b)))
			must(t, err)
			b = append(bytes.Clone(b), tail...)
		}
		got, err := unpack(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, snapshot.ErrFormat) {
				t.Fatalf("%v is neither damage nor a later format", err)
			}
			return
		}
		a, err := snapshot.OpenArchive(bytes.NewReader(b), int64(len(b)))
		must(t, err)
		sum := sha256.Sum256(got[:len(got)-32])
		if !bytes.Equal(sum[:], got[len(got)-32:]) || hex.EncodeToString(sum[:]) != a.Manifest.RawSHA256 || int64(len(got)) != a.Manifest.RawSize {
			t.Fatalf("%d bytes pass for %+v", len(got), a.Manifest)
		}
	})
}
