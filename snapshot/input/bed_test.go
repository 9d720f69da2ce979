package input_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// skip is etcdutl's flag.
func skip() input.Options { return input.Options{SkipHashCheck: true} }

// database gives bytes that begin as bbolt's do; zstd saves about half of the rest.
func database(size int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	b := make([]byte, size)
	for i := range b {
		if b[i] = 'a' + byte(i%16); i%16 < 8 {
			b[i] = byte(r.Uint32())
		}
	}
	putMeta(b, 0, 4096)
	return b
}

// putMeta writes the begin of a meta page.
func putMeta(b []byte, at, pageSize int) {
	binary.NativeEndian.PutUint32(b[at+16:], 0xED0CDAED)
	binary.NativeEndian.PutUint32(b[at+20:], 2)
	binary.NativeEndian.PutUint32(b[at+24:], uint32(pageSize))
}

// withDigest gives what etcdctl snapshot save writes.
func withDigest(db []byte) []byte {
	sum := sha256.Sum256(db)
	return append(bytes.Clone(db), sum[:]...)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// archive packs what etcd sent as this program does.
func archive(t testing.TB, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out)
	must(t, err)
	_, err = w.Write(raw)
	must(t, err)
	n := snapshot.Name{Set: snapshot.RollingSet, Node: "node-a", Time: time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)}
	_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, Node: n.Node, ToolVersion: "test", Source: snapshot.Source{Revision: 1}})
	must(t, err)
	return out.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	must(t, err)
	_, err = w.Write(b)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	must(t, err)
	_, err = w.Write(b)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// file is one member of a zip archive.
type file struct {
	name string
	data []byte
}

func zipped(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	for _, f := range files {
		m, err := w.Create(f.name)
		must(t, err)
		_, err = m.Write(f.data)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// rkeZip is laid out as rke-tools does it: absolute names, the state file beside the database.
func rkeZip(t testing.TB, raw []byte) []byte {
	t.Helper()
	return zipped(t, file{"/backup/snap", raw}, file{"/etc/kubernetes/snap.rkestate", []byte(`{"desiredState": {}}`)})
}

func open(b []byte) (*input.Input, error) { return input.Open(bytes.NewReader(b), int64(len(b))) }

// unpack opens and unpacks.
func unpack(b []byte, o input.Options) (got []byte, in *input.Input, u input.Unpacked, err error) {
	if in, err = open(b); err != nil {
		return nil, in, u, err
	}
	var out bytes.Buffer
	u, err = in.Unpack(context.Background(), &out, o)
	return out.Bytes(), in, u, err
}

// refused demands an error of a kind, in one line with the words.
func refused(t testing.TB, name string, err, kind error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted", name)
		return
	}
	if !errors.Is(err, kind) {
		t.Errorf("%s: %q does not wrap %q", name, err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q is not in: %v", name, w, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: more than one line: %q", name, err)
	}
}

var errDisk = errors.New("the disk is on fire")

// narrow is a disk with room for so many bytes.
type narrow struct{ room int }

func (d *narrow) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, errDisk
	}
	d.room -= len(p)
	return len(p), nil
}

// readerAt reads through any reader, as a network file system might.
type readerAt struct {
	data []byte
	wrap func(r io.Reader, offset int64) io.Reader
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	return io.ReadFull(r.wrap(bytes.NewReader(r.data[off:]), off), p)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
