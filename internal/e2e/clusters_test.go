package e2e_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// other is a cluster besides the one of a test, with its ID as manifests have it.
func other(t *testing.T) (*etcdtest.Cluster, snapshot.ID) {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	res, err := etcdtest.Dial(t, c).Get(t.Context(), "none")
	must(t, err)
	return c, snapshot.ID(res.Header.ClusterId)
}

// takenFrom returns the names of the rolling snapshots in a directory that a cluster took, newest first.
func takenFrom(t *testing.T, dir string, id snapshot.ID) []string {
	t.Helper()
	var out []string
	for _, e := range listed(t, dir) {
		m, err := snapshot.NewDir(dir).Manifest(e.Name)
		if err == nil && m.ClusterID == id && e.Name.Set == snapshot.RollingSet {
			out = append(out, e.Name.String())
		}
	}
	return out
}

// takenFrom returns the keys of a cluster's snapshots in the bucket.
func (b *bucket) takenFrom(id snapshot.ID) []string {
	b.t.Helper()
	var out []string
	for _, key := range b.keys() {
		object, err := b.client.GetObject(context.Background(), b.name, key, minio.GetObjectOptions{})
		must(b.t, err)
		var data bytes.Buffer
		if _, err := data.ReadFrom(object); err != nil {
			continue // removed meanwhile
		}
		tail := data.Bytes()[max(0, data.Len()-snapshot.TailSize):]
		m, _, err := snapshot.DecodeTail(tail, int64(data.Len()))
		must(b.t, err)
		if m.ClusterID == id {
			out = append(out, key)
		}
	}
	return out
}

// Two etcds on one machine, and two daemons with the same directory, node name and schedule: each one's snapshots stay what its own
// policy keeps, both report it, and commands do not guess which cluster is meant.
func TestTwoClustersInOneDirectoryKeepTheirOwn(t *testing.T) {
	parallel(t)
	main, mainID := other(t)
	events, eventsID := other(t)
	dir := newStore(t)
	args := func(c *etcdtest.Cluster) [][]string {
		return [][]string{flags(c, c.Endpoints()[0]), {"--schedule=@every 1s", "--keep-last=2", "--drill-schedule=off"}}
	}
	a := watch(t, dir, args(main)...)
	b := watch(t, dir, args(events)...)
	for _, d := range []*watched{a, b} {
		eventually(t, "the daemon took some snapshots", func() bool { return strings.Count(d.stderr.String(), "snapshot saved") >= 6 })
		if strings.Contains(d.stderr.String(), "snapshot failed") {
			t.Errorf("a run failed because another daemon took its second:\n%s", d.stderr.String())
		}
	}
	a.ready(t, http.StatusServiceUnavailable, "--dir or --node; another cluster, "+eventsID.String()+", keeps snapshots of the same node name on the disk")
	b.ready(t, http.StatusServiceUnavailable, "--dir or --node; another cluster, "+mainID.String()+", keeps snapshots of the same node name on the disk")
	for _, d := range []*watched{a, b} {
		if _, body := d.get(t, "/readyz"); strings.Count(body, "\n") != 1 || strings.Contains(d.stderr.String(), "saving the status failed") {
			t.Errorf("one fault is more than one problem:\n%s\n%s", body, d.stderr.String())
		}
	}
	a.kill()
	left := takenFrom(t, dir, mainID)
	saved := func() int { return strings.Count(b.stderr.String(), "snapshot saved") }
	before := saved()
	eventually(t, "the other daemon took more", func() bool { return saved() >= before+3 })
	b.kill()
	if now := takenFrom(t, dir, mainID); len(left) < 2 || !slices.Equal(now, left) {
		t.Errorf("of cluster %s there are %q, there were %q", mainID, now, left)
	}
	// Whoever of the two starts next begins with the state of the other one.
	a = watch(t, dir, args(main)...)
	eventually(t, "the first daemon took more", func() bool { return strings.Count(a.stderr.String(), "snapshot saved") >= 3 })
	a.stop(t, syscall.SIGTERM, 0)
	keepTwo(t, dir, mainID)
	if n := len(takenFrom(t, dir, mainID)); n != 2 {
		t.Errorf("%d are left of cluster %s", n, mainID)
	}
	if n := len(takenFrom(t, dir, eventsID)); n < 2 {
		t.Errorf("%d are left of cluster %s", n, eventsID)
	}
	run(t, 0, []string{"CLUSTER", mainID.String(), eventsID.String()}, "list", "--dir="+dir)
	run(t, 0, []string{"other cluster", eventsID.String()}, words("check", store(dir), flags(main, main.Endpoints()[0]), []string{"--listen=off"})...)
	run(t, 2, []string{"--cluster", mainID.String(), eventsID.String()}, "prune", "--dir="+dir, "--node="+node, "--keep-last=1")
	run(t, 0, []string{"of another cluster, " + mainID.String()}, "prune", "--dir="+dir, "--node="+node, "--keep-last=1", "--cluster="+eventsID.String())
	if m, e := takenFrom(t, dir, mainID), takenFrom(t, dir, eventsID); len(m) != 2 || len(e) != 1 {
		t.Errorf("left %q and %q", m, e)
	}
}

// A container that was started twice: both daemons report it until one of them stops, and neither fails because of the other.
func TestTwoDaemonsInOneDirectoryReportEachOther(t *testing.T) {
	parallel(t)
	c, _ := other(t)
	dir := newStore(t)
	args := [][]string{flags(c, c.Endpoints()[0]), {"--schedule=@every 2s", "--keep-last=3", "--drill-schedule=off"}}
	a, b := watch(t, dir, args...), watch(t, dir, args...)
	for _, d := range []*watched{a, b} {
		d.ready(t, http.StatusServiceUnavailable, "another daemon of the same node name, "+node+", works in "+dir)
		for _, fault := range []string{"snapshot failed", "saving the status failed"} {
			if strings.Contains(d.stderr.String(), fault) {
				t.Errorf("%s because of the other daemon:\n%s", fault, d.stderr.String())
			}
		}
	}
	a.stop(t, syscall.SIGTERM, 0)
	b.ready(t, http.StatusOK, "")
}

// The default folder of two clusters, whose nodes have the same names, is the same.
func TestTwoClustersInOneFolderKeepTheirOwn(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	prod, prodID := other(t)
	staging, stagingID := other(t)
	args := func(c *etcdtest.Cluster) [][]string {
		return [][]string{flags(c, c.Endpoints()[0]), b.flags(server.Target), {"--schedule=@every 2s", "--keep-last=2", "--drill-schedule=off"}}
	}
	prodDir, stagingDir := newStore(t), newStore(t)
	a := watch(t, prodDir, args(prod)...)
	eventually(t, "two of prod were in the bucket", func() bool { return len(b.takenFrom(prodID)) >= 2 })
	a.stop(t, syscall.SIGTERM, 0)
	want := b.takenFrom(prodID)

	s := watch(t, stagingDir, args(staging)...)
	pruned := func() int { return strings.Count(s.stderr.String(), "pruned=1") }
	eventually(t, "staging was pruned in the bucket", func() bool { return strings.Contains(s.stderr.String(), "msg=mirrored") && pruned() >= 4 })
	if got := b.takenFrom(prodID); !slices.Equal(got, want) {
		t.Errorf("of prod the bucket holds %q, want %q", got, want)
	}
	// prod comes back, without the state of its daemon.
	must(t, os.Remove(statusFile(prodDir)))
	a = watch(t, prodDir, args(prod)...)
	a.ready(t, http.StatusServiceUnavailable, "another cluster, "+stagingID.String()+", keeps snapshots of the same node name in S3")
	s.ready(t, http.StatusServiceUnavailable, "another cluster, "+prodID.String()+", keeps snapshots of the same node name in S3")
	a.stop(t, syscall.SIGTERM, 0)
	s.stop(t, syscall.SIGTERM, 0)
	if p, s := b.takenFrom(prodID), b.takenFrom(stagingID); len(p) < 2 || len(s) < 2 {
		t.Errorf("the bucket holds %q of prod and %q of staging", p, s)
	}
	mirror := b.flags(server.Target)
	run(t, 0, []string{"CLUSTER", prodID.String(), stagingID.String()}, words("list", []string{"--from=s3"}, mirror)...)
	elsewhere := []string{"--dir=" + newStore(t), "--node=" + node, "--from=s3", "--s3-keep-last=1"}
	run(t, 2, []string{"--cluster", prodID.String(), stagingID.String()}, words("prune", elsewhere, mirror)...)
	run(t, 0, []string{"of another cluster"}, words("prune", elsewhere, mirror, []string{"--cluster=" + stagingID.String()})...)
	if n := len(b.takenFrom(stagingID)); n != 1 {
		t.Errorf("%d of staging are left", n)
	}
	if n := len(b.takenFrom(prodID)); n < 2 {
		t.Errorf("%d of prod are left", n)
	}
}

// keepTwo makes up for a daemon that was stopped between a snapshot and its pruning.
func keepTwo(t *testing.T, dir string, cluster snapshot.ID) {
	t.Helper()
	run(t, 0, nil, "prune", "--dir="+dir, "--node="+node, "--keep-last=2", "--cluster="+cluster.String())
}

// A cluster that was restored has a new ID. What its predecessor left stays, on the disk and in the bucket.
func TestHistoryFromBeforeARestoreStays(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	before, beforeID := other(t)
	after, afterID := other(t)
	dir := newStore(t)
	args := func(c *etcdtest.Cluster) [][]string {
		return [][]string{flags(c, c.Endpoints()[0]), b.flags(server.Target), {"--schedule=@every 1s", "--keep-last=2", "--drill-schedule=off"}}
	}
	d := watch(t, dir, args(before)...)
	eventually(t, "some snapshots were in the bucket", func() bool { return strings.Count(d.stderr.String(), "msg=mirrored") >= 3 })
	d.stop(t, syscall.SIGTERM, 0)
	keepTwo(t, dir, beforeID)
	left := takenFrom(t, dir, beforeID)
	must(t, snapshot.NewDir(dir).RecordRestore(snapshot.Restored{ClusterID: afterID, Predecessors: []snapshot.ID{beforeID}, At: time.Now()}))
	for range 2 { // the second time without the record: the manifests know it as well
		d = watch(t, dir, args(after)...)
		eventually(t, "some more snapshots were in the bucket", func() bool { return strings.Count(d.stderr.String(), "msg=mirrored") >= 4 })
		d.ready(t, http.StatusOK, "ok")
		d.stop(t, syscall.SIGTERM, 0)
		keepTwo(t, dir, afterID)
		if got := takenFrom(t, dir, beforeID); len(left) != 2 || !slices.Equal(got, left) {
			t.Errorf("of the predecessor there are %q, want %q", got, left)
		}
		if n := len(takenFrom(t, dir, afterID)); n != 3 { // with the first one
			t.Errorf("%d of the restored cluster are left", n)
		}
		if n := len(b.takenFrom(beforeID)); n < 2 {
			t.Errorf("%d of the predecessor are left in the bucket", n)
		}
		must(t, os.Remove(statusFile(dir)))
		must(t, os.RemoveAll(filepath.Join(dir, ".restored.json")))
	}
	newest, err := snapshot.NewDir(dir).Manifest(listed(t, dir)[0].Name)
	must(t, err)
	if !slices.Equal(newest.Predecessors, []snapshot.ID{beforeID}) {
		t.Errorf("the manifest says predecessors %v", newest.Predecessors)
	}
	run(t, 0, []string{afterID.String(), beforeID.String() + ", before the restore"}, "list", "--dir="+dir)
	run(t, 0, []string{"from before the restore", "the first after the restore"}, "prune", "--dir="+dir, "--node="+node, "--keep-last=1", "--dry-run", "--cluster="+afterID.String())
}

// The host got another name: what lies under the earlier one is reported, and goes on request.
func TestSnapshotsOfARenamedNodeAreReportedAndGoOnRequest(t *testing.T) {
	parallel(t)
	c, _ := other(t)
	dir := newStore(t)
	renamed := func(name string, more ...string) []string {
		return words("daemon", []string{"--dir=" + dir, "--node=" + name, "--min-free=0", "--schedule=@every 1s", "--keep-last=2"}, flags(c, c.Endpoints()[0]), more)
	}
	taken := func(name string) int {
		return len(slices.DeleteFunc(listed(t, dir), func(e snapshot.Entry) bool { return e.Name.Node != name }))
	}
	d := start(t, renamed("old")...)
	eventually(t, "two were kept", func() bool { return strings.Count(d.stderr.String(), "snapshot saved") >= 3 })
	d.stop(t, syscall.SIGTERM, 0)
	pruned := func(name string) { // the daemon may have been stopped before it did
		run(t, 0, nil, "prune", "--dir="+dir, "--node="+name, "--keep-last=2")
	}
	pruned("old")
	d = start(t, renamed("new")...)
	d.says(t, "the directory has snapshots of other node names")
	eventually(t, "two more were kept", func() bool { return strings.Count(d.stderr.String(), "snapshot saved") >= 3 })
	d.stop(t, syscall.SIGTERM, 0)
	pruned("new")
	run(t, 0, []string{"other nodes", "old (2, the newest", "--orphan-after"}, words("check", []string{"--dir=" + dir, "--node=new", "--listen=off", "--min-free=0"}, flags(c, c.Endpoints()[0]))...)
	if taken("old") != 2 || taken("new") != 2 {
		t.Errorf("there are %d and %d", taken("old"), taken("new"))
	}
	d = start(t, renamed("new", "--orphan-after=1s")...)
	eventually(t, "all but the newest of the earlier name went", func() bool { return taken("old") == 1 })
	d.stop(t, syscall.SIGTERM, 0)
}

// etcd says that its data are corrupt: what was taken before stays while that lasts.
func TestSnapshotsFromBeforeTheAlarmCorruptStay(t *testing.T) {
	parallel(t)
	c, id := other(t)
	dir := newStore(t)
	f := follow(t, dir, words("--keep-last=3", flags(c, c.Endpoints()[0])))
	f.goesOn(t, 4)
	f.rests(t, c.Members[0])
	f.stop(t, syscall.SIGTERM, 0)
	must(t, c.Restart(t.Context()))
	good := takenFrom(t, dir, id)
	client := etcdtest.Dial(t, c)
	_, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(),
		&etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, Alarm: etcdserverpb.AlarmType_CORRUPT})
	must(t, err)
	f = follow(t, dir, words("--keep-last=3", flags(c, c.Endpoints()[0])))
	f.goesOn(t, 5)
	f.rests(t, c.Members[0])
	f.stop(t, syscall.SIGTERM, 0)
	now := takenFrom(t, dir, id)
	for _, n := range good {
		if !slices.Contains(now, n) {
			t.Errorf("%s from before the alarm is gone", n)
		}
	}
	if len(good) != 3 || len(now) != 6 {
		t.Errorf("there were %d before the alarm, there are %d now", len(good), len(now))
	}
}
