package daemon_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
)

// brittle is a directory in which some files can't be read. They are told by their names.
type brittle struct {
	*snapshot.Dir
	open   map[string]error    // what opening them gives
	handle map[string]*os.File // what is opened in their place
}

func (d *brittle) File(n snapshot.Name) (*os.File, error) {
	if err := d.open[n.String()]; err != nil {
		return nil, err
	}
	if f := d.handle[n.String()]; f != nil {
		return f, nil
	}
	return d.Dir.File(n)
}

// sharp is a bucket that counts what it is given, and can spoil it.
type sharp struct {
	*memBucket
	given  map[string]int
	before func(n snapshot.Name) error // runs when something was given
}

func newSharp() *sharp { return &sharp{memBucket: newMemBucket(), given: map[string]int{}} }

func (b *sharp) PutArchive(ctx context.Context, n snapshot.Name, a *snapshot.Archive, progress func(done, total int64)) error {
	b.given[n.String()]++
	if b.before != nil {
		if err := b.before(n); err != nil {
			return err
		}
	}
	return b.memBucket.PutArchive(ctx, n, a, progress)
}

// A file that can't be read is its own trouble: the others come, the bucket is pruned, and the pass ends with its error.
func TestMirrorPassesOverAFileThatCannotBeRead(t *testing.T) {
	broken, eio := hourly(t, node, 2)[0], &fs.PathError{Op: "open", Path: "/x", Err: syscall.EIO}
	for what, tc := range map[string]struct {
		spoil func(*testing.T, *brittle, *sharp)
		want  error
	}{
		"when it is opened": {func(_ *testing.T, d *brittle, _ *sharp) { d.open[broken.String()] = eio }, syscall.EIO},
		"at its manifest": {func(t *testing.T, d *brittle, _ *sharp) {
			d.handle[broken.String()] = handle(t, t.TempDir()) // reading a directory fails
		}, syscall.EISDIR},
		"on its way": {func(t *testing.T, d *brittle, b *sharp) {
			f := handle(t, filepath.Join(d.Path(), broken.String()))
			d.handle[broken.String()] = f
			b.before = func(n snapshot.Name) error {
				if n == broken {
					return f.Close()
				}
				return nil
			}
		}, fs.ErrClosed},
		"its format is a later one": {func(t *testing.T, d *brittle, _ *sharp) {
			makeLater(t, filepath.Join(d.Path(), broken.String()))
		}, snapshot.ErrFormat},
	} {
		t.Run(what, func(t *testing.T) {
			d := &brittle{archives(t, hourly(t, node, 1, 2, 3)...), map[string]error{}, map[string]*os.File{}}
			b, o, e := newSharp(), mirrorOptions(3), &ears{origin: today}
			b.fill(hourly(t, node, 0)...)
			o.Recorder = e
			tc.spoil(t, d, b)
			done, err := daemon.Mirror(t.Context(), d, b, o, today)
			if !errors.Is(err, tc.want) || done.Waiting != 1 || len(done.Removed) != 1 {
				t.Errorf("%+v, %v, want %v", done, err, tc.want)
			}
			b.has(t, hourly(t, node, 1, 3)...)
			if slices.ContainsFunc(e.heard, func(s string) bool { return strings.HasPrefix(s, "damaged") }) {
				t.Errorf("it was called damaged: %q", e.heard)
			}
		})
	}
}

// The log does not call snapshots safe that can't be read.
func TestMirrorLogsAFileThatCannotBeRead(t *testing.T) {
	names := hourly(t, node, 1)
	d := &brittle{archives(t, names...), map[string]error{names[0].String(): syscall.EIO}, map[string]*os.File{}}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Mirror = func(ctx context.Context) (daemon.Mirrored, error) {
			return daemon.Mirror(ctx, d, newMemBucket(), mirrorOptions(3), today)
		}
		b.runFor(time.Second)
		got := b.lines(atError)
		if len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != "mirroring failed: a snapshot on the disk can't be read" }) {
			t.Errorf("logged %q", got)
		}
	})
}

// The bucket's own trouble with a file, as its CA, ends the pass: it is the same for every archive.
func TestMirrorEndsAtAFileOfTheBuckets(t *testing.T) {
	b, o := newSharp(), mirrorOptions(3)
	b.before = func(snapshot.Name) error { return &fs.PathError{Op: "open", Path: "/ca.pem", Err: syscall.EACCES} }
	o.Suspects = map[snapshot.Entry]bool{}
	done, err := daemon.Mirror(t.Context(), archives(t, hourly(t, node, 1, 2, 3)...), b, o, today)
	if !errors.Is(err, syscall.EACCES) || done.Waiting != 3 || len(b.given) != 1 || len(o.Suspects) != 0 {
		t.Errorf("%+v, %v; given %v, suspects %v", done, err, b.given, o.Suspects)
	}
}

// An archive that was found damaged is given to the bucket no more, until its file is another.
func TestMirrorSendsADamagedArchiveOnce(t *testing.T) {
	names := hourly(t, node, 1, 2, 3)
	dir, broken := archives(t, names...), names[1].String()
	path := filepath.Join(dir.Path(), broken)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[20] ^= 1
	replace(t, path, bad, 1)
	b, o := newSharp(), mirrorOptions(3)
	o.Suspects = map[snapshot.Entry]bool{}
	for range 3 {
		e := &ears{origin: today}
		o.Recorder = e
		done, err := daemon.Mirror(t.Context(), dir, b, o, today)
		if !errors.Is(err, snapshot.ErrDamaged) || done.Waiting != 1 || b.given[broken] != 1 {
			t.Errorf("%+v, %v; given %d times", done, err, b.given[broken])
		}
		if !slices.ContainsFunc(e.heard, func(s string) bool { return strings.HasPrefix(s, "damaged local 0s \""+broken) }) {
			t.Errorf("heard %q", e.heard)
		}
	}
	replace(t, path, bad, 2)
	if _, err := daemon.Mirror(t.Context(), dir, b, o, today); !errors.Is(err, snapshot.ErrDamaged) || b.given[broken] != 2 || len(o.Suspects) != 1 {
		t.Errorf("another damaged one: %v; given %d times, suspects %v", err, b.given[broken], o.Suspects)
	}
	replace(t, path, good, 3)
	if _, err := daemon.Mirror(t.Context(), dir, b, o, today); err != nil || b.given[broken] != 3 || len(o.Suspects) != 0 {
		t.Errorf("a good one: %v; given %d times, suspects %v", err, b.given[broken], o.Suspects)
	}
	b.has(t, names...)
}

// A file that could not be read on its way is read to its end first the next time, and comes once that works.
func TestMirrorReadsAgainBeforeItSends(t *testing.T) {
	n := hourly(t, node, 1)[0]
	d := &brittle{archives(t, n), map[string]error{}, map[string]*os.File{}}
	b, o := newSharp(), mirrorOptions(3)
	o.Suspects = map[snapshot.Entry]bool{}
	d.handle[n.String()] = handle(t, filepath.Join(d.Path(), n.String()))
	b.before = func(snapshot.Name) error { return d.handle[n.String()].Close() }
	for range 3 {
		if _, err := daemon.Mirror(t.Context(), d, b, o, today); !errors.Is(err, fs.ErrClosed) || b.given[n.String()] != 1 {
			t.Errorf("%v; given %d times", err, b.given[n.String()])
		}
	}
	delete(d.handle, n.String())
	b.before = nil
	if _, err := daemon.Mirror(t.Context(), d, b, o, today); err != nil || b.given[n.String()] != 2 || len(o.Suspects) != 0 {
		t.Errorf("%v; given %d times, suspects %v", err, b.given[n.String()], o.Suspects)
	}
}

// replace gives a file another content and a time of its own.
func replace(t *testing.T, path string, data []byte, second int) {
	t.Helper()
	at := midnight.Add(time.Duration(second) * time.Second)
	if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}

// makeLater gives an archive a format that no version knows yet, and the checksum that goes with it (docs/FORMAT.md).
func makeLater(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	footer := data[len(data)-52:]
	begin := len(data) - 52 - int(binary.LittleEndian.Uint32(footer[8:]))
	data = slices.Concat(data[:begin], bytes.Replace(data[begin:], []byte("etcd-rolling-backup/1"), []byte("etcd-rolling-backup/2"), 1))
	footer = data[len(data)-52:]
	sum := sha256.Sum256(data[begin : len(data)-52+12])
	copy(footer[12:], sum[:])
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func handle(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // some are closed already
	return f
}
