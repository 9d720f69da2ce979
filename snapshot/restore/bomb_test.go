package restore

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"hash/crc32"
	"io"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// bombSize is more than the disk of the test has, bytes.
const bombSize = 400 << 20

// bombs are small files that are a database at their beginning, and zeros after it.
func bombs(t *testing.T) map[string][]byte {
	head := database(t, 3)
	fill := func(w io.WriteCloser) {
		_, err := w.Write(head)
		must(t, err)
		zeros := make([]byte, 1<<20)
		for range bombSize / len(zeros) {
			_, err := w.Write(zeros)
			must(t, err)
		}
		must(t, w.Close())
	}
	packers := map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) },
		"zstd":  func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
		"flate": func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) },
	}
	out := map[string][]byte{}
	for form, packer := range packers {
		var b bytes.Buffer
		w, err := packer(&b)
		must(t, err)
		fill(w)
		out[form] = b.Bytes()
	}
	for name, declared := range map[string]uint64{"zip that declares less": uint64(len(head)), "zip that declares a part": bombSize / 10} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.CreateRaw(&zip.FileHeader{
			Name: "db", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(head), CompressedSize64: uint64(len(out["flate"])), UncompressedSize64: declared,
		})
		must(t, err)
		_, err = w.Write(out["flate"])
		must(t, err)
		must(t, z.Close())
		out[name] = b.Bytes()
	}
	delete(out, "flate")
	return out
}

// A small file that unpacks to more than fits leaves room for others while it is unpacked, and nothing afterwards.
func TestRestoreStopsABombBeforeTheDiskIsFull(t *testing.T) {
	for name, data := range bombs(t) {
		disk := t.TempDir()
		must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=300m,mode=0700"))
		t.Cleanup(func() { must(t, unix.Unmount(disk, 0)) })
		dir := snapshot.NewDir(disk)
		before, err := dir.Free()
		must(t, err)
		in, err := input.Open(bytes.NewReader(data), int64(len(data)))
		must(t, err)
		least := before
		_, err = Prepare(t.Context(), in, Options{
			DataDir: filepath.Join(disk, "data"), Identity: Identity{Members: Single}, Size: in.Size, SkipHashCheck: true,
			Progress: func(int64, int64) {
				free, err := dir.Free()
				must(t, err)
				least = min(least, free)
			},
		}, noon)
		if in.Size < 0 {
			refused(t, name, err, ErrNoSpace, "free some space there")
			refused(t, name, err, snapshot.ErrLowSpace)
		} else {
			refused(t, name, err, snapshot.ErrDamaged, "more than the")
		}
		after, err := dir.Free()
		must(t, err)
		if least < walSize-2*guardInterval || after != before {
			t.Errorf("%s: %d of %d bytes were free at the least, and %d are free afterwards", name, least, before, after)
		}
		wantNames(t, disk, "")
	}
}
