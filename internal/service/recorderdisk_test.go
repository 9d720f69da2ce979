package service

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/fusetest"
)

// The journal leaves room for the next snapshot. It goes on when there is room again, and reports a full disk once.
func TestJournalStopsBeforeAFullDiskStopsSnapshots(t *testing.T) {
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=128m,mode=0700"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, 0)) })
	b := newJournalBedOn(t, etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}), disk)
	b.cfg.Store.MinFree = 16 << 20
	client := etcdtest.Dial(t, b.cluster)
	b.start()
	b.waitForBases(1)
	puts(t, client, 10)
	b.reaches(client)
	free, err := b.dir.Free()
	must(t, err)
	filler := filepath.Join(disk, "filler")
	must(t, os.WriteFile(filler, make([]byte, free-20<<20), 0o600))
	puts(t, client, 10)
	b.interrupted(status.LowSpace)
	eventually(t, func() bool { return b.lines("journal still interrupted") > 1 })
	if n := b.lines("journal interrupted"); n != 1 || len(partials(t, b)) > 0 {
		t.Errorf("%d lines in the log; incomplete segments %q", n, partials(t, b))
	}
	b.takes()
	must(t, os.Remove(filler))
	puts(t, client, 10)
	head := b.reaches(client)
	b.stop()
	if len(b.ranges()) != 1 || b.lines("snapshot saved") != 1 {
		t.Errorf("ranges %v", b.ranges())
	}
	b.wantAll(client, b.bases()[0], head)
}

// Whatever the disk does to the journal's files: snapshots succeed meanwhile, and nothing is missing afterwards.
func TestJournalSurvivesAFailingDiskAndHarmsNoSnapshot(t *testing.T) {
	for name, c := range map[string]struct {
		op     fusetest.Op
		errno  syscall.Errno
		reason status.Reason
	}{
		"fsync fails":  {fusetest.Fsync, syscall.EIO, status.Disk},
		"write fails":  {fusetest.Write, syscall.EIO, status.Disk},
		"no space":     {fusetest.Write, syscall.ENOSPC, status.LowSpace},
		"create fails": {fusetest.Create, syscall.EROFS, status.Disk},
		"rename fails": {fusetest.Rename, syscall.EIO, status.Disk},
		"close fails":  {fusetest.Close, syscall.EDQUOT, status.LowSpace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var fails atomic.Bool
			disk := fusetest.Mount(t, fusetest.Options{Fail: func(op fusetest.Op, file string) syscall.Errno {
				if fails.Load() && op == c.op && strings.HasPrefix(file, "journal_") {
					return c.errno
				}
				return 0
			}})
			b := newJournalBedOn(t, etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}), disk)
			client := etcdtest.Dial(t, b.cluster)
			b.start()
			b.waitForBases(1)
			puts(t, client, 10)
			b.reaches(client)
			fails.Store(true)
			puts(t, client, 10)
			b.interrupted(c.reason)
			b.takes()
			puts(t, client, 10)
			fails.Store(false)
			puts(t, client, 10)
			head := b.reaches(client)
			b.stop()
			if len(b.ranges()) != 1 || len(partials(t, b)) > 0 {
				t.Errorf("ranges %v, incomplete segments %q", b.ranges(), partials(t, b))
			}
			b.wantAll(client, b.bases()[0], head)
		})
	}
}

// While the journal waits for the disk, snapshots do not wait for the journal.
func TestJournalOnASlowDiskDelaysNoSnapshot(t *testing.T) {
	var slow atomic.Bool
	waits, release := make(chan struct{}, 100), make(chan struct{})
	disk := fusetest.Mount(t, fusetest.Options{Fail: func(op fusetest.Op, file string) syscall.Errno {
		if slow.Load() && op == fusetest.Fsync && strings.HasPrefix(file, "journal_") {
			waits <- struct{}{}
			<-release
		}
		return 0
	}})
	b := newJournalBedOn(t, etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}), disk)
	client := etcdtest.Dial(t, b.cluster)
	b.start()
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	b.waitForBases(1)
	puts(t, client, 10)
	b.reaches(client)
	slow.Store(true)
	puts(t, client, 100)
	<-waits
	b.takes()
	puts(t, client, 100)
	close(release)
	head := b.reaches(client)
	b.stop()
	b.wantAll(client, b.bases()[0], head)
}
