package command

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/fusetest"
	"etcd-rolling-backup/snapshot"
)

// check finds what the daemon will meet in the directory, and says what to do. The steps are tested in package snapshot.
func TestCheckFindsWhatAFileSystemLacks(t *testing.T) {
	few := t.TempDir()
	must(t, unix.Mount("tmpfs", few, "tmpfs", 0, "size=64m,mode=0700,nr_inodes=20"))
	t.Cleanup(func() { must(t, unix.Unmount(few, 0)) })
	none := t.TempDir()
	must(t, unix.Mount("tmpfs", none, "tmpfs", 0, "size=64m,mode=0700,nr_inodes=1"))
	t.Cleanup(func() { must(t, unix.Unmount(none, 0)) })
	fails := func(errno syscall.Errno, ops ...fusetest.Op) string {
		return fusetest.Mount(t, fusetest.Options{Fail: fusetest.Always(errno, ops...)})
	}
	space := func(change func(*fusetest.Space)) string { return fusetest.Mount(t, fusetest.Options{Space: change}) }
	for name, c := range map[string]struct {
		dir, check, status, detail string
	}{
		"fragments": {space(func(s *fusetest.Space) {
			s.Bsize, s.Frsize, s.Blocks, s.Bfree, s.Bavail = 1<<20, 4096, 1<<20, 1<<18, 1<<18
		}), "free space", statusOK, "1.0 GiB, of which --min-free keeps 512 KiB"},
		"16 EiB":     {space(func(s *fusetest.Space) { s.Blocks, s.Bfree, s.Bavail = 1<<52-1, 1<<52-1, 1<<52-1 }), "free space", statusOK, "reports no limit"},
		"full":       {space(func(s *fusetest.Space) { s.Bfree, s.Bavail = 1, 1 }), "free space", statusFail, "keep fewer snapshots, or lower it"},
		"no sync":    {fails(unix.EINVAL, fusetest.SyncDir), "sync", statusWarn, "a power loss may damage the newest snapshot"},
		"no mapping": {fusetest.Mount(t, fusetest.Options{DirectIO: true}), "mapping", statusWarn, "verify and restore drills don't work there"},
		"no locks":   {fails(unix.ENOLCK, fusetest.Flock), "directory", statusFail, "no file locks"},
		"no rename":  {fails(unix.EPERM, fusetest.Rename), "directory", statusFail, "use a directory on another file system"},
		"inodes":     {few, "free inodes", statusWarn, "df -i"},
		"no inodes":  {none, "directory", statusFail, "no inodes are left"},
		"quota":      {fails(unix.EDQUOT, fusetest.Write), "directory", statusFail, "disk quota"},
	} {
		var found []string
		ok := false
		for _, f := range checkDirectory(t.Context(), snapshot.NewDir(c.dir), 512<<10) {
			found = append(found, f.Status+" "+f.Check+": "+f.Detail)
			ok = ok || f.Check == c.check && f.Status == c.status && strings.Contains(f.Detail, c.detail)
		}
		if !ok {
			t.Errorf("%s: %q, want %s %s: %s", name, found, c.status, c.check, c.detail)
		}
	}
}
