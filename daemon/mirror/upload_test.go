package mirror_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// brittle is a directory in which one file is opened otherwise.
type brittle struct {
	*snapshot.Dir
	name   snapshot.Name
	open   func() (*os.File, error)
	opened *os.File // the last that was opened in its place
}

func (d *brittle) File(n snapshot.Name) (f *os.File, err error) {
	if n != d.name || d.open == nil {
		return d.Dir.File(n)
	}
	d.opened, err = d.open()
	return d.opened, err
}

// A file that can't be read is the disk's trouble: the others are uploaded, the bucket is pruned, and the pass ends with its error.
func TestMirrorSkipsAFileThatCannotBeRead(t *testing.T) {
	unreadable := hourly(t, node, 2)[0]
	for what, tc := range map[string]struct {
		spoil func(*brittle, *memBucket)
		want  error
		// unknown: nobody knows which cluster it is of.
		unknown bool
	}{
		"when it is opened": {func(d *brittle, _ *memBucket) {
			d.open = func() (*os.File, error) { return nil, &fs.PathError{Op: "open", Path: "/x", Err: syscall.EIO} }
		}, syscall.EIO, true},
		"at its manifest": {func(d *brittle, _ *memBucket) {
			d.open = func() (*os.File, error) { return os.Open(d.Path()) } // reading a directory fails
		}, syscall.EISDIR, true},
		"on its way": {func(d *brittle, b *memBucket) {
			d.open = func() (*os.File, error) { return os.Open(filepath.Join(d.Path(), unreadable.String())) }
			b.before = func(n snapshot.Name) error {
				if n == unreadable {
					return d.opened.Close()
				}
				return nil
			}
		}, fs.ErrClosed, false},
		"its format is of a later version": {func(d *brittle, _ *memBucket) {
			put(t, d.Dir, unreadable, ofLaterVersion(usual(t)))
		}, snapshot.ErrFormat, false},
	} {
		t.Run(what, func(t *testing.T) {
			d := &brittle{Dir: directory(t, hourly(t, node, 1, 2, 3)...), name: unreadable}
			b, o := newBucket().fill(t, hourly(t, node, 0)...), options(3)
			o.Status = tracker()
			tc.spoil(d, b)
			done, err := mirror.Pass(t.Context(), d, b, o, today)
			if !errors.Is(err, tc.want) || !mirror.IsFileError(err) || done.Pending != 1 {
				t.Errorf("%+v, %v, want %v", done, err, tc.want)
			}
			left := hourly(t, node, 1, 3)
			if tc.unknown { // while its manifest can't be read, it does not take another one's place
				left = hourly(t, node, 0, 1, 3)
			}
			b.wantHolds(t, left...)
			if h := o.Status.State().History; slices.ContainsFunc(h, func(f status.Failure) bool { return f.Reason == status.Damaged }) {
				t.Errorf("it was called damaged: %+v", h)
			}
			d.open, b.before = nil, nil
			put(t, d.Dir, unreadable, usual(t))
			if done, err := mirror.Pass(t.Context(), d, b, o, today); err != nil || !slices.Equal(done.Uploaded, []snapshot.Name{unreadable}) {
				t.Errorf("once it can be read again: %+v, %v", done, err)
			}
		})
	}
}

// The bucket's own trouble with a file, for example its CA, ends the pass: it is the same for every archive.
func TestMirrorStopsAtAFileOfTheBucket(t *testing.T) {
	b := newBucket()
	b.before = func(snapshot.Name) error { return &fs.PathError{Op: "open", Path: "/ca.pem", Err: syscall.EACCES} }
	done, err := mirror.Pass(t.Context(), directory(t, hourly(t, node, 1, 2, 3)...), b, options(3), today)
	if !errors.Is(err, syscall.EACCES) || mirror.IsFileError(err) || done.Pending != 3 || len(b.puts) != 1 {
		t.Errorf("%+v, %v; given %q", done, err, b.puts)
	}
}

func TestUploadRefusesASnapshotTakenWithNoMirror(t *testing.T) {
	dir, n := directory(t), name(t, "manual", node, midnight)
	data := archive(t, 1, 7, true)
	put(t, dir, n, data)
	b := newBucket()
	err := mirror.Upload(t.Context(), dir, b, snapshot.Entry{Name: n, Size: int64(len(data))}, false, nil)
	if !errors.Is(err, mirror.ErrLocalOnly) || len(b.puts) > 0 {
		t.Errorf("%v; given %q", err, b.puts)
	}
}

func TestUploadOfAMissingFileIsNotFound(t *testing.T) {
	err := mirror.Upload(t.Context(), directory(t), newBucket(), snapshot.Entry{Name: hourly(t, node, 1)[0], Size: 1}, false, nil)
	if !errors.Is(err, snapshot.ErrNotFound) || !mirror.IsFileError(err) {
		t.Error(err)
	}
}

// ofLaterVersion is an archive in a format that no version knows yet, with the checksum that goes with it (docs/FORMAT.md).
func ofLaterVersion(data []byte) []byte {
	footer := data[len(data)-52:]
	begin := len(data) - 52 - int(binary.LittleEndian.Uint32(footer[8:]))
	data = slices.Concat(data[:begin], bytes.Replace(data[begin:], []byte("etcd-rolling-backup/1"), []byte("etcd-rolling-backup/2"), 1))
	footer = data[len(data)-52:]
	sum := sha256.Sum256(data[begin : len(data)-52+12])
	copy(footer[12:], sum[:])
	return data
}
