package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Verify decompresses into an anonymous file, so that a crash leaves nothing.
func TestVerifyLeavesNoFile(t *testing.T) {
	good := archive(t, withDigest(etcdDatabase(t, 1000)), manifestA(1001))
	_, size, err := snapshot.DecodeTail(good, int64(len(good)))
	must(t, err)
	broken := append([]byte(nil), good...)
	broken[size-10]++
	db := etcdDatabase(t, 10)
	clear(db[8192:])
	brokenPages := archive(t, withDigest(db), manifestA(11))

	b := newBench(t)
	before := openFiles(t)
	for range 10 {
		for name, c := range map[string]struct {
			packed []byte
			want   error
		}{
			"good": {good, nil}, "broken": {broken, snapshot.ErrDamaged}, "broken pages": {brokenPages, snapshot.ErrDamaged},
		} {
			heard := false
			b.progress = func(done, total int64) {
				heard = heard || done == total
				if got := in(t, b.scratch); len(got) != 0 {
					t.Errorf("%s: while it is read there are %q", name, got)
				}
			}
			if _, err := b.verify(t.Context(), c.packed); !errors.Is(err, c.want) || !heard && err == nil {
				t.Errorf("%s: %v, want %v; heard of the end: %t", name, err, c.want, heard)
			}
			if got := in(t, b.scratch); len(got) != 0 {
				t.Errorf("%s: left are %q", name, got)
			}
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

// openFiles counts this process's file descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(files)
}

func TestVerifyIsCanceled(t *testing.T) {
	packed := archive(t, withDigest(etcdDatabase(t, 5000)), manifestA(5001))
	errStop := errors.New("SIGTERM")
	for name, when := range map[string]func(done, total int64) bool{
		"at the first bytes":   func(int64, int64) bool { return true },
		"in the middle":        func(done, total int64) bool { return done > total/2 },
		"when all is unpacked": func(done, total int64) bool { return done == total },
	} {
		b := newBench(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		b.progress = func(done, total int64) {
			if when(done, total) {
				cancel(errStop)
			}
		}
		if _, err := b.verify(ctx, packed); !errors.Is(err, errStop) || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: %v, want what ended it", name, err)
		}
		cancel(nil)
	}
}

func TestVerifyWithoutScratch(t *testing.T) {
	b := newBench(t)
	b.scratch = snapshot.NewDir(filepath.Join(t.TempDir(), "missing"))
	if _, err := b.verify(t.Context(), golden(t)); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("%v, want that the directory is missing", err)
	}
}
