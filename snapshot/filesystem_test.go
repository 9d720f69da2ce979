package snapshot_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/fusetest"
	"etcd-rolling-backup/snapshot"
)

// take takes one snapshot of a small member.
func take(t *testing.T, d *snapshot.Dir, minFree int64) error {
	t.Helper()
	_, err := snapshot.Take(t.Context(), sends(incompressible(1<<20)), d, options(minFree))
	return err
}

// prepared is a directory ready to be written to.
func prepared(t *testing.T, path string) *snapshot.Dir {
	t.Helper()
	d := snapshot.NewDir(path)
	must(t, d.Prepare())
	return d
}

func TestFreeSpaceIsCountedInFragmentsAndSaturates(t *testing.T) {
	const most = math.MaxInt64
	for name, c := range map[string]struct {
		statfs unix.Statfs_t
		want   snapshot.Space
	}{
		"ext4":                {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: 100, Bavail: 10, Files: 9, Ffree: 3}, snapshot.Space{Bytes: 40960, Inodes: 3}},
		"virtiofs":            {unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096, Blocks: 100, Bavail: 10}, snapshot.Space{Bytes: 40960, Inodes: most}},
		"no fragment size":    {unix.Statfs_t{Bsize: 512, Blocks: 100, Bavail: 10}, snapshot.Space{Bytes: 5120, Inodes: most}},
		"16 EiB":              {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: 1 << 52, Bavail: 1<<52 - 1}, snapshot.Space{Bytes: most, Inodes: most}},
		"8 EiB":               {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: 1 << 52, Bavail: 1 << 51}, snapshot.Space{Bytes: most, Inodes: most}},
		"one block less":      {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: 1 << 52, Bavail: 1<<51 - 1}, snapshot.Space{Bytes: 1<<63 - 4096, Inodes: most}},
		"quota without limit": {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: math.MaxUint64, Bavail: math.MaxUint64, Files: 1, Ffree: math.MaxUint64}, snapshot.Space{Bytes: most, Inodes: most}},
		"unknown size":        {unix.Statfs_t{Bsize: 512}, snapshot.Space{Bytes: most, Inodes: most}},
		"full":                {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: 100, Files: 9}, snapshot.Space{}},
	} {
		if got := snapshot.SpaceOf(c.statfs); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// --min-free holds on a file system whose blocks are counted in other units than f_bsize.
func TestTakeKeepsMinFreeWhereBlocksAreFragments(t *testing.T) {
	const free = 8 << 20
	d := prepared(t, fusetest.Mount(t, fusetest.Options{Space: func(s *fusetest.Space) {
		s.Bsize, s.Frsize = 1<<20, 4096
		s.Blocks, s.Bfree, s.Bavail = 1<<20, free/4096, free/4096
	}}))
	if got, err := d.Free(); err != nil || got != free {
		t.Errorf("%d bytes free and %v, want %d", got, err, free)
	}
	if err := take(t, d, free+1); !errors.Is(err, snapshot.ErrLowSpace) {
		t.Errorf("%v, want ErrLowSpace", err)
	}
	must(t, take(t, d, free/2))
}

// A file system that reports 16 EiB, no size at all, or no answer has room; the write shows the truth.
func TestTakeFitsWhereTheFileSystemReportsNoLimit(t *testing.T) {
	huge := fusetest.Options{Space: func(s *fusetest.Space) { s.Blocks, s.Bfree, s.Bavail = 1<<52-1, 1<<52-1, 1<<52-1 }}
	none := fusetest.Options{Space: func(s *fusetest.Space) { *s = fusetest.Space{Bsize: 512} }}
	for name, path := range map[string]string{
		"16 EiB":        fusetest.Mount(t, huge),
		"no size":       fusetest.Mount(t, none),
		"no statfs":     fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(syscall.ENOSYS, fusetest.Statfs)}),
		"tmpfs, size=0": mountTmpfs(t, 0),
	} {
		d := prepared(t, path)
		if free, err := d.Free(); err != nil || free != snapshot.Unlimited {
			t.Errorf("%s: %d bytes free and %v, want no limit", name, free, err)
		}
		if err := take(t, d, 1<<30); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := snapshot.NewDir(fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(syscall.EIO, fusetest.Statfs)}))
	if _, err := broken.Free(); !errors.Is(err, unix.EIO) {
		t.Errorf("a failing statfs: %v, want EIO", err)
	}
}

// What is used up can be bytes, inodes, a quota or something that statfs does not show; the error says which, and leaves nothing.
func TestFullDiskErrorSaysWhatIsUsedUp(t *testing.T) {
	inodes := mountTmpfs(t, 64<<20)
	must(t, unix.Mount("", inodes, "", unix.MS_REMOUNT, "nr_inodes=2")) // the directory and the lock
	full := mountTmpfs(t, 1<<20)
	for name, c := range map[string]struct {
		path  string
		errno error
		word  string
	}{
		"no inodes":     {inodes, unix.ENOSPC, "no inodes are left on this file system, as `df -i " + inodes},
		"no bytes":      {full, unix.ENOSPC, "the disk is full: free some space, or keep fewer snapshots"},
		"project quota": {fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(syscall.ENOSPC, fusetest.Write)}), unix.ENOSPC, "a project quota or the file system's metadata is full"},
		"metadata":      {fusetest.Mount(t, fusetest.Options{Fail: onlySnapshots(syscall.ENOSPC, fusetest.Create)}), unix.ENOSPC, "a project quota or the file system's metadata is full"},
		"quota":         {fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(syscall.EDQUOT, fusetest.Write)}), unix.EDQUOT, "the disk quota of this user, group or project is used up"},
		"late quota":    {fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(syscall.EDQUOT, fusetest.Fsync)}), unix.EDQUOT, "the disk quota of this user"},
		"late name":     {fusetest.Mount(t, fusetest.Options{Fail: onlySnapshots(syscall.ENOSPC, fusetest.Rename)}), unix.ENOSPC, "metadata is full"},
	} {
		d := prepared(t, c.path)
		err := take(t, d, 0)
		if !errors.Is(err, c.errno) || !errors.Is(err, snapshot.ErrLowSpace) || strings.Count(err.Error(), c.word) != 1 {
			t.Errorf("%s: %v, want %v, ErrLowSpace and %q once", name, err, c.errno, c.word)
		}
		if left := in(t, d); len(left) > 0 {
			t.Errorf("%s: left are %q", name, left)
		}
	}
}

// onlySnapshots fails for files of archives, not for the lock.
func onlySnapshots(errno syscall.Errno, op fusetest.Op) func(fusetest.Op, string) syscall.Errno {
	return func(o fusetest.Op, name string) syscall.Errno {
		if o == op && strings.HasSuffix(name, ".part") {
			return errno
		}
		return 0
	}
}

// Where the file system can't sync directories or files, everything works. A sync that fails is a failure.
func TestDirectoryWorksWhereNothingCanBeSynced(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EINVAL, unix.ENOTSUP, unix.ENOSYS} {
		for _, ops := range [][]fusetest.Op{{fusetest.SyncDir}, {fusetest.SyncDir, fusetest.Fsync}} {
			d := prepared(t, fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(errno, ops...)}))
			what := fmt.Sprintf("%v of %v", errno, ops)
			taken, err := snapshot.Take(t.Context(), sends(incompressible(1<<20)), d, options(1))
			must(t, err)
			if err := d.VerifyChecksum(t.Context(), taken.Name, nil); err != nil {
				t.Errorf("%s: verify: %v", what, err)
			}
			if err := errors.Join(d.KeepNote(snapshot.StatusFile("a"), 1), d.KeepNote(snapshot.StatusFile("a"), 2)); err != nil {
				t.Errorf("%s: status: %v", what, err)
			}
			if err := d.Remove(t.Context(), taken.Name); err != nil {
				t.Errorf("%s: remove: %v", what, err)
			}
			if _, err := d.RemovePartials(t.Context()); err != nil {
				t.Errorf("%s: clean up: %v", what, err)
			}
		}
	}
	d := prepared(t, fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.EIO, fusetest.Fsync)}))
	if err := take(t, d, 1); !errors.Is(err, unix.EIO) || len(in(t, d)) > 0 {
		t.Errorf("a sync that fails: %v, left are %q", err, in(t, d))
	}
}

// Without locks nothing is written, and the error says what to do.
func TestDirectoryWithoutLocksIsRefusedWithTheRemedy(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOLCK, unix.ENOTSUP, unix.ENOSYS, unix.EINVAL} {
		d := prepared(t, fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(errno, fusetest.Flock)}))
		err := take(t, d, 1)
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "no file locks: on NFS start rpc-statd") || len(in(t, d)) > 0 {
			t.Errorf("%v: %v, left are %q", errno, err, in(t, d))
		}
	}
}

// O_TMPFILE fails in many ways where it is not supported; then the file has a name for a moment.
func TestScratchFileWorksWithoutTmpfile(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOTSUP, unix.ENOSYS, unix.EINVAL, unix.ENOENT, unix.EISDIR, unix.EPERM} {
		d := prepared(t, fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(errno, fusetest.Tmpfile)}))
		f, err := d.Scratch()
		if err != nil {
			t.Errorf("%v: %v", errno, err)
			continue
		}
		_, err = f.WriteString("x")
		must(t, errors.Join(err, f.Close()))
	}
	d := snapshot.NewDir(fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.EACCES, fusetest.Tmpfile, fusetest.Create)}))
	if _, err := d.Scratch(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("no file can be created: %v", err)
	}
}

func TestProbeLeavesNothing(t *testing.T) {
	all := snapshot.Abilities{Sync: true, Map: true}
	for name, c := range map[string]struct {
		path string
		want snapshot.Abilities
	}{
		"this disk":         {t.TempDir(), all},
		"missing directory": {t.TempDir() + "/a/b", all},
		"FUSE":              {fusetest.Mount(t, fusetest.Options{}), all},
		"no mapping":        {fusetest.Mount(t, fusetest.Options{DirectIO: true}), snapshot.Abilities{Sync: true}},
		"no O_TMPFILE":      {fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.EINVAL, fusetest.Tmpfile)}), all},
		"no directory sync": {fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.EINVAL, fusetest.SyncDir)}), snapshot.Abilities{Map: true}},
		"no file sync":      {fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(unix.ENOTSUP, fusetest.Fsync)}), snapshot.Abilities{Map: true}},
	} {
		d := snapshot.NewDir(c.path)
		if got, err := d.Probe(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: %+v and %v, want %+v", name, got, err, c.want)
		}
		if left := in(t, d); len(left) > 0 {
			t.Errorf("%s: left are %q", name, left)
		}
	}
}

// Each step that the daemon needs is tried; one that fails is named, has a remedy, and nothing is left.
func TestProbeNamesTheStepThatFails(t *testing.T) {
	const remedy = "use a directory on another file system"
	inodes := mountTmpfs(t, 1<<20)
	must(t, unix.Mount("", inodes, "", unix.MS_REMOUNT, "nr_inodes=2"))
	must(t, os.WriteFile(inodes+"/.lock", nil, 0o600))
	fails := func(errno syscall.Errno, ops ...fusetest.Op) string {
		return fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(errno, ops...)})
	}
	for name, c := range map[string]struct {
		path  string
		words []string
	}{
		"lock":    {fails(unix.ENOLCK, fusetest.Flock), []string{"lock ", "no file locks"}},
		"create":  {fails(unix.EINVAL, fusetest.Create), []string{"unusable directory"}},
		"write":   {fails(unix.EFBIG, fusetest.Write), []string{"write snapshot: ", remedy}},
		"sync":    {fails(unix.EIO, fusetest.Fsync), []string{"sync snapshot: ", "input/output error"}},
		"rename":  {fails(unix.EPERM, fusetest.Rename), []string{"rename snapshot: ", remedy}},
		"names":   {fails(unix.EIO, fusetest.SyncDir), []string{"sync directory "}},
		"scratch": {fusetest.Mount(t, fusetest.Options{Fail: scratchFails}), []string{"create scratch file: ", remedy}},
		"note":    {fusetest.Mount(t, fusetest.Options{Fail: noteFails()}), []string{"write .check-", remedy}},
		"quota":   {fails(unix.EDQUOT, fusetest.Write), []string{"write snapshot: ", "disk quota"}},
		"inodes":  {inodes, []string{"create snapshot: ", "no inodes are left"}},
	} {
		d := snapshot.NewDir(c.path)
		_, err := d.Probe(t.Context())
		for _, word := range c.words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want %q", name, err, word)
			}
		}
		if left := in(t, d); len(left) > 0 {
			t.Errorf("%s: left are %q", name, left)
		}
	}
	d := snapshot.NewDir(fails(unix.EPERM, fusetest.Unlink))
	if _, err := d.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "remove snapshot: ") || !strings.Contains(err.Error(), remedy) {
		t.Errorf("remove: %v", err)
	}
}

func scratchFails(op fusetest.Op, name string) syscall.Errno {
	if op == fusetest.Tmpfile || op == fusetest.Create && strings.HasPrefix(name, ".verify-") {
		return unix.EPERM
	}
	return 0
}

// noteFails lets the first rename happen, which is that of the archive, and not the one that replaces a file.
func noteFails() func(fusetest.Op, string) syscall.Errno {
	renames := make(chan struct{}, 1)
	return func(op fusetest.Op, _ string) syscall.Errno {
		if op != fusetest.Rename {
			return 0
		}
		select {
		case renames <- struct{}{}:
			return 0
		default:
			return unix.EACCES
		}
	}
}

// Files of a probe that was killed are no snapshots and not foreign, and are removed after a while.
func TestFilesOfAKilledProbeAreRemoved(t *testing.T) {
	d := newDir(t)
	for _, name := range []string{".check-123", ".check-45.part", ".check-6", ".check-own-file"} {
		put(t, d, name, []byte("x"))
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{".check-123", ".check-45.part", ".check-own-file"} {
		must(t, os.Chtimes(d.Path()+"/"+name, old, old))
	}
	l, err := d.List()
	must(t, err)
	if len(l.Foreign) != 1 || len(l.Partials)+len(l.Snapshots)+len(l.Broken) > 0 {
		t.Errorf("listed: %+v, want .check-own-file as foreign alone", l)
	}
	removed, err := d.RemovePartials(t.Context())
	if err != nil || strings.Join(removed, " ") != ".check-123 .check-45.part" {
		t.Errorf("removed %q and %v", removed, err)
	}
}

// Some file systems report a full disk or a quota only when the file is closed. That is no snapshot.
func TestErrorOfClosingIsNoSnapshot(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EDQUOT, unix.EIO} {
		d := prepared(t, fusetest.Mount(t, fusetest.Options{Fail: func(op fusetest.Op, name string) syscall.Errno {
			if op == fusetest.Close && strings.HasSuffix(name, ".part") {
				return errno
			}
			return 0
		}}))
		if err := take(t, d, 1); !errors.Is(err, errno) || errors.Is(err, snapshot.ErrLowSpace) != (errno == unix.EDQUOT) || len(in(t, d)) > 0 {
			t.Errorf("%v: %v, left are %q", errno, err, in(t, d))
		}
	}
}

// Some file systems neither rename nor remove a file while it is open.
func TestSnapshotsWorkWhereOpenFilesKeepTheirNames(t *testing.T) {
	var mu sync.Mutex
	open := map[string]int{}
	d := prepared(t, fusetest.Mount(t, fusetest.Options{Fail: func(op fusetest.Op, name string) syscall.Errno {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case op == fusetest.Create:
			open[name]++
		case op == fusetest.Close:
			open[name]--
		case (op == fusetest.Rename || op == fusetest.Unlink) && open[name] > 0:
			return unix.ETXTBSY
		}
		return 0
	}}))
	must(t, take(t, d, 1))
	if left := in(t, d); len(left) != 1 || !strings.HasSuffix(left[0], ".db.zst") {
		t.Fatalf("left are %q", left)
	}
	if err := take(t, d, snapshot.Unlimited); !errors.Is(err, snapshot.ErrLowSpace) {
		t.Error(err)
	}
	p, err := d.Create(t.Context(), nameA())
	must(t, err)
	must(t, p.Abort())
	if left := in(t, d); len(left) != 1 {
		t.Errorf("left are %q", left)
	}
}

// An archive is not called damaged because the file system can't map files into memory.
func TestVerifyWithoutMappingIsNotDamage(t *testing.T) {
	b := newBench(t)
	b.scratch = snapshot.NewDir(fusetest.Mount(t, fusetest.Options{DirectIO: true}))
	_, err := b.verify(t.Context(), archive(t, withDigest(make([]byte, 1<<20)), manifestA(1)))
	if err == nil || errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), "map them into memory: use a directory on a local disk") {
		t.Errorf("%v, want an error of the file system", err)
	}
	if _, err := newBench(t).verify(t.Context(), archive(t, withDigest(make([]byte, 1<<20)), manifestA(1))); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("zeros on this disk: %v, want ErrDamaged", err)
	}
}
