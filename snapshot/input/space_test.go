package input_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// Verify unpacks, so a small file of any form may need more of the disk than may be used.
func TestVerifyOfAnyFormLeavesSpace(t *testing.T) {
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m,mode=0700"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, 0)) })
	scratch := snapshot.NewDir(disk)
	before, err := scratch.Free()
	must(t, err)
	bomb := make([]byte, 24<<20)
	putMeta(bomb, 0, 4096)
	raw := withDigest(bomb)
	for form, data := range map[string][]byte{
		"archive": archive(t, raw), "gzip": gzipped(t, raw), "zstd": zstded(t, raw), "zip": zipped(t, file{"db", raw}), "plain": raw,
	} {
		path := filepath.Join(t.TempDir(), "snapshot")
		must(t, os.WriteFile(path, data, 0o600))
		f, err := os.Open(path)
		must(t, err)
		least := before
		_, err = input.Verify(t.Context(), f, scratch, 8<<20, func(int64, int64) {
			free, err := scratch.Free()
			must(t, err)
			least = min(least, free)
		})
		must(t, f.Close())
		if !errors.Is(err, snapshot.ErrLowSpace) || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: %v, want ErrLowSpace", form, err)
		}
		if after, err := scratch.Free(); err != nil || after != before || least < 8<<20 {
			t.Errorf("%s: %d of %d bytes were free at the least, and %d are free afterwards (%v)", form, least, before, after, err)
		}
	}
}
