package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// An etcd that lost its data and goes on empty is reported, though the policy keeps one snapshot, and by the next process too. The last
// snapshot from before the loss and the first one after it are kept, on the disk and in the bucket.
func TestEmptyEtcdIsReportedAndTheLastSnapshotKept(t *testing.T) {
	parallel(t)
	c, dir := small(t, etcdtest.Options{}), newStore(t)
	m := c.Members[0]
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	args := [][]string{flags(c, m.Endpoint), b.flags(server.Target), {"--schedule=@every 2s", "--keep-last=1"}}
	w := watch(t, dir, args...)
	w.says(t, "msg=mirrored")
	must(t, m.Kill())
	w.says(t, "snapshot failed") // and so none is under way
	good := listed(t, dir)[0].Name.String()
	must(t, os.RemoveAll(m.DataDir))
	must(t, m.Restart(t.Context()))
	var first string
	eventually(t, "there was a first snapshot after the loss", func() bool {
		l := listed(t, dir)
		if len(l) >= 2 {
			first = l[len(l)-2].Name.String()
		}
		return first != ""
	})
	for range 2 {
		w.ready(t, http.StatusServiceUnavailable, "less than half of the ")
		w.ready(t, http.StatusServiceUnavailable, "is it the same cluster?")
		eventually(t, "the log counted those that the guard keeps", func() bool { return strings.Count(w.stderr.String(), "guarded=2") >= 3 })
		eventually(t, "the directory held the newest and the two guarded", func() bool { // a cycle adds one before it removes another
			l := listed(t, dir)
			return len(l) == 3 && l[1].Name.String() == first && l[2].Name.String() == good
		})
		eventually(t, "the bucket held the same two and another", func() bool { // a pass uploads one before it removes another
			keys := b.keys()
			return len(keys) == 3 && keys[0] == good && keys[1] == first // names in the order of time
		})
		w.kill()
		w = watch(t, dir, args...)
	}
}

// A new disk, with an etcd as new next to it, is reported: the bucket has larger snapshots, and the last good one is kept there.
func TestEmptyEtcdWithANewDiskIsReported(t *testing.T) {
	parallel(t)
	c, dir := small(t, etcdtest.Options{}), newStore(t)
	m := c.Members[0]
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	args := [][]string{flags(c, m.Endpoint), b.flags(server.Target), {"--schedule=@every 2s", "--keep-last=2"}}
	w := watch(t, dir, args...)
	w.says(t, "msg=mirrored")
	w.stop(t, syscall.SIGTERM, 0)
	keys := b.keys()
	good := keys[len(keys)-1] // the newest, and the only one of which a new disk learns
	stopped := time.Now()
	must(t, m.Kill())
	must(t, os.RemoveAll(m.DataDir))
	must(t, m.Restart(t.Context()))
	must(t, os.RemoveAll(dir))
	eventually(t, "the next snapshot has another name", func() bool { return time.Since(stopped) > time.Second })
	w = watch(t, dir, args...)
	w.ready(t, http.StatusServiceUnavailable, "less than half of the ")
	eventually(t, "the bucket was pruned", func() bool { return strings.Count(w.stderr.String(), "msg=mirrored") > 5 })
	if keys := b.keys(); !slices.Contains(keys, good) {
		t.Errorf("%s is gone from the bucket: %q", good, keys)
	}
}

// A disk that is unmounted under the daemon is told, also once there is a snapshot in the directory beneath it, until it is back.
func TestUnmountedDiskIsReported(t *testing.T) {
	parallel(t)
	c, disk := small(t, etcdtest.Options{}), filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(disk, 0o700))
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=700"))
	mounted := t.TempDir()
	must(t, unix.Mount(disk, mounted, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(mounted, unix.MNT_DETACH)) })
	w := watch(t, disk, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s", "--min-free=1MiB"})
	w.says(t, "snapshot saved")
	must(t, unix.Unmount(disk, unix.MNT_DETACH))
	w.ready(t, http.StatusServiceUnavailable, disk+" is not the same directory as at the start")
	eventually(t, "snapshots go on", func() bool { return len(listed(t, disk)) > 0 })
	must(t, unix.Mount(mounted, disk, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	w.ready(t, http.StatusOK, "ok")
}
