package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// mountTmpfs mounts an empty file system with this many bytes. Unmounting fails while a file in it is open.
func mountTmpfs(t *testing.T, size int64) string {
	t.Helper()
	path := t.TempDir()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Fatalf("mount a tmpfs: %v: run this test as root, or under unshare -rm", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			t.Errorf("unmount the tmpfs: %v", err)
		}
	})
	return path
}

// incompressible gives what etcd sends for a database that zstd makes no smaller.
func incompressible(size int) []byte {
	db := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(db) // never fails
	return withDigest(db)
}

// With too little space Take does not even ask etcd.
func TestTakeNeedsSpace(t *testing.T) {
	d := snapshot.NewDir(mountTmpfs(t, 16<<20))
	asked := false
	src := streamer(func(context.Context, io.Writer, func(int64)) error {
		asked = true
		return nil
	})
	_, err := snapshot.Take(t.Context(), src, d, options(17<<20))
	if !errors.Is(err, snapshot.ErrLowSpace) || asked || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("%v, etcd was asked: %t; want ErrLowSpace with its mend and no question", err, asked)
	}
	if got := in(t, d); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}

// A database larger than the disk: Take stops before the free space falls below the limit, or when the disk is full, and frees
// all of it.
func TestTakeLeavesSpace(t *testing.T) {
	raw := incompressible(24 << 20)
	for _, c := range []struct {
		minFree int64
		want    error
	}{
		{8 << 20, snapshot.ErrLowSpace},
		{5<<20 + 12345, snapshot.ErrLowSpace},
		{1, snapshot.ErrLowSpace},
		{0, unix.ENOSPC},
	} {
		d := snapshot.NewDir(mountTmpfs(t, 16<<20))
		before, err := d.Free()
		must(t, err)
		least := before
		o := options(c.minFree)
		o.Progress = func(int64, int64) {
			free, err := d.Free()
			must(t, err)
			least = min(least, free)
		}
		_, err = snapshot.Take(t.Context(), sends(raw), d, o)
		if !errors.Is(err, c.want) {
			t.Errorf("with %d bytes to be left: %v, want %v", c.minFree, err, c.want)
		}
		if least < c.minFree-int64(unix.Getpagesize()) || least > c.minFree+4<<20 {
			t.Errorf("with %d bytes to be left: the fewest were %d", c.minFree, least)
		}
		after, err := d.Free()
		must(t, err)
		if got := in(t, d); len(got) != 0 || after != before {
			t.Errorf("left are %q, %d bytes free of %d", got, after, before)
		}
	}
}

func TestTakeFits(t *testing.T) {
	d := snapshot.NewDir(mountTmpfs(t, 16<<20))
	taken, err := snapshot.Take(t.Context(), sends(incompressible(6<<20)), d, options(8<<20))
	must(t, err)
	if free, err := d.Free(); err != nil || free < 8<<20 || taken.Size < 6<<20 {
		t.Errorf("%d bytes taken, %d free and %v", taken.Size, free, err)
	}
}

// Verify decompresses, so a small archive may need a lot of disk space.
func TestVerifyLeavesSpace(t *testing.T) {
	packed := archive(t, withDigest(make([]byte, 24<<20)), manifestA(1))
	for minFree, want := range map[int64]error{8 << 20: snapshot.ErrLowSpace, 17 << 20: snapshot.ErrLowSpace, 0: unix.ENOSPC} {
		b := newBench(t)
		b.scratch, b.minFree = snapshot.NewDir(mountTmpfs(t, 16<<20)), minFree
		before, err := b.scratch.Free()
		must(t, err)
		_, err = b.verify(t.Context(), packed)
		if !errors.Is(err, want) || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("with %d bytes to be left: %v, want %v", minFree, err, want)
		}
		if after, err := b.scratch.Free(); err != nil || after != before {
			t.Errorf("%d bytes free and %v, before %d", after, err, before)
		}
	}
}

// options are for a Take that only lack of space can stop.
func options(minFree int64) snapshot.TakeOptions {
	return snapshot.TakeOptions{Set: snapshot.RollingSet, Node: "node-a", ToolVersion: "test", MinFree: minFree, Stall: time.Minute}
}

// What is announced is compared with the disk before a byte comes, whatever the number.
func TestReceiveAndFetchRefuseAnAnnouncedSizeThatDoesNotFit(t *testing.T) {
	d := snapshot.NewDir(mountTmpfs(t, 16<<20))
	before, err := d.Free()
	must(t, err)
	read := false
	body := readerFunc(func([]byte) (int, error) {
		read = true
		return 0, io.EOF
	})
	for _, size := range []int64{12 << 20, 1<<62 + 32, math.MaxInt64} {
		_, received := d.Receive(t.Context(), nameA(), nameA().String(), body, size, 8<<20, nil)
		f, fetched := d.Fetch(t.Context(), body, size, 8<<20, nil)
		if !errors.Is(received, snapshot.ErrLowSpace) || !errors.Is(fetched, snapshot.ErrLowSpace) || f != nil || read ||
			!strings.Contains(received.Error(), "free some space") {
			t.Errorf("%d bytes: %v and %v, the body was read: %t", size, received, fetched, read)
		}
	}
	if after, err := d.Free(); err != nil || before-after > 4096 { // the lock file
		t.Errorf("%d bytes free and %v, before %d", after, err, before)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What fits with rke-tools, which needs room for the database and its zip, fits with this share too.
func TestFreeShareLeavesRoomForWhatFitsTwice(t *testing.T) {
	for _, size := range []int64{8 << 20, 200 << 20, 16 << 30} {
		d := snapshot.NewDir(mountTmpfs(t, size))
		free, err := d.Free()
		if err != nil {
			t.Fatal(err)
		}
		share, err := d.FreeShare()
		if err != nil || share <= 0 || share > 1<<30 || free-share < free/2 {
			t.Errorf("%d of %d bytes, %v", share, free, err)
		}
	}
}
