package restore

import (
	"math"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/fusetest"
	"etcd-rolling-backup/snapshot"
)

// Whatever size a file system reports and a snapshot claims, nothing overflows.
func TestRestoreComparesSpaceOfAnySize(t *testing.T) {
	space := func(change func(*fusetest.Space)) string { return fusetest.Mount(t, fusetest.Options{Space: change}) }
	huge := space(func(s *fusetest.Space) { s.Blocks, s.Bfree, s.Bavail = 1<<52-1, 1<<52-1, 1<<52-1 })
	unknown := space(func(s *fusetest.Space) { *s = fusetest.Space{Bsize: 512} })
	fragments := space(func(s *fusetest.Space) {
		s.Bsize, s.Frsize, s.Blocks, s.Bfree, s.Bavail = 1<<20, 4096, 1<<20, 1<<15, 1<<15 // 128 MiB
	})
	inodes := t.TempDir()
	must(t, unix.Mount("tmpfs", inodes, "tmpfs", 0, "size=400m,mode=0700,nr_inodes=10"))
	t.Cleanup(func() { must(t, unix.Unmount(inodes, 0)) })
	in := given{data: database(t, 3)}
	for name, c := range map[string]struct {
		dir   string
		size  int64
		words []string // nil: it fits
	}{
		"16 EiB":                   {huge, 1 << 20, nil},
		"16 EiB, unknown size":     {huge, -1, nil},
		"no size":                  {unknown, 1 << 20, nil},
		"fragments":                {fragments, 1 << 20, []string{"has 128 MiB and the restore needs 1", "free some space there"}},
		"claim of 8 EiB":           {t.TempDir(), math.MaxInt64, []string{"the restore needs 8.0 EiB"}},
		"claim that overflowed":    {t.TempDir(), math.MaxInt64/2 + 1, []string{"the restore needs 8.0 EiB"}},
		"claim of 2^62 and digest": {t.TempDir(), 1<<62 + 32, []string{"the restore needs 8.0 EiB"}},
		"few inodes":               {inodes, 1 << 20, []string{"inodes left, as `df -i " + inodes, "needs 16", "remove files there"}},
	} {
		o := Options{DataDir: filepath.Join(c.dir, "data"), Identity: Identity{Members: Single}, Size: c.size}
		p, err := Prepare(t.Context(), in, o, noon)
		if c.words != nil {
			refused(t, name, err, ErrNoSpace, c.words...)
			continue
		}
		must(t, err)
		p.Close()
	}
	must(t, unix.Mount("", inodes, "", unix.MS_REMOUNT, "nr_inodes=1")) // the directory
	_, err := Prepare(t.Context(), in, Options{DataDir: filepath.Join(inodes, "data"), Identity: Identity{Members: Single}, Size: 1}, noon)
	refused(t, "no inodes", err, snapshot.ErrLowSpace, "no inodes are left")
}

// A file without a name can't be opened again on some FUSE file systems. The restore works, and leaves nothing else.
func TestRestoreWorksWhereAnUnnamedFileCannotBeOpenedAgain(t *testing.T) {
	dir := fusetest.Mount(t, fusetest.Options{})
	f, err := snapshot.NewDir(dir).Scratch()
	must(t, err)
	if reopens(f) {
		t.Fatal("this file system opens a file without a name")
	}
	must(t, f.Close())
	_, err = restored(t, given{data: database(t, 3)}, Options{DataDir: filepath.Join(dir, "data"), Identity: Identity{Members: Single}, Size: -1})
	must(t, err)
	wantData(t, filepath.Join(dir, "data"), false)
	wantNames(t, dir, "data")
}
