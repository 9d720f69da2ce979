package e2e_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
)

// A disk that is full of the daemon's own snapshots gets room when the daemon is restarted with a smaller policy, as its error says.
func TestSmallerPolicyMakesRoomOnAFullDisk(t *testing.T) {
	parallel(t)
	for _, x := range []struct {
		name, options string
		cluster       func() *etcdtest.Cluster
		word          string
	}{
		{"bytes", "size=90m", func() *etcdtest.Cluster { return solid(t) }, "the disk is full: free some space, or keep fewer snapshots"},
		{"inodes", "size=60m,nr_inodes=7", func() *etcdtest.Cluster { return small(t, etcdtest.Options{}) }, "no inodes are left on this file system"},
	} {
		t.Run(x.name, func(t *testing.T) {
			disk := t.TempDir()
			must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=700,"+x.options))
			t.Cleanup(func() { must(t, unix.Unmount(disk, 0)) })
			c := x.cluster()
			at := words("--drill-schedule=off", flags(c, c.Endpoints()[0]))

			before := follow(t, disk, append(at, "--keep-last=24"))
			before.next(t, "snapshot saved")
			before.next(t, "snapshot failed", x.word, "reason=low_space")
			before.stop(t, syscall.SIGTERM, 0)
			names := files(t, disk)

			after := follow(t, disk, append(at, "--keep-last=1"))
			after.next(t, "low disk space: removed snapshots that the policy no longer keeps", "kept=1")
			after.next(t, "snapshot saved")
			after.stop(t, syscall.SIGTERM, 0)
			if left := files(t, disk); len(left) >= len(names) {
				t.Errorf("on the disk there are %q, before %q", left, names)
			}
		})
	}
}
