package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// awaitLeader waits until each of the members knows a leader that lives.
func awaitLeader(t *testing.T, members []*etcdtest.Member) {
	t.Helper()
	for _, m := range members {
		client, err := m.Client(t.Context())
		must(t, err)
		eventually(t, "there was a leader", func() bool { _, err := client.Get(t.Context(), "x"); return err == nil })
		must(t, client.Close())
	}
}

// While most members run, the restore of a lost one is refused before anything is unpacked or changed, with the snapshot in any form; if
// they do not run, it is not in the way.
func TestRestoreIsRefusedWhileMostMembersRun(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	archive := saved(t, c)
	raw := unpack(t, archive)
	lost := c.Members[2]
	must(t, lost.Kill())
	awaitLeader(t, c.Members[:2])
	before := tree(t, filepath.Dir(lost.DataDir))
	remedy := []string{"the cluster still runs", "2 of 3 members run: node1 (http://", ") and node2 (http://", "etcdctl member remove and etcdctl member add", "--ignore-running-members"}
	own := []string{"--name=" + lost.Name, "--data-dir=" + lost.DataDir, "--replace"}
	for _, from := range []string{archive, raw} {
		run(t, 2, remedy, words("restore", []string{from}, own)...)
		run(t, 0, []string{"warning: the cluster still runs", "nothing is changed"}, words("restore", []string{from, "--dry-run"}, own)...)
	}
	fresh := target(t)
	run(t, 2, remedy, "restore", archive, "--name="+lost.Name, "--data-dir="+fresh)
	wantTree(t, filepath.Dir(lost.DataDir), before)
	if left := files(t, filepath.Dir(fresh)); len(left) != 0 {
		t.Errorf("left behind: %s", left)
	}
	// A copy on other ports is only warned of, unless it replaces data.
	copied := []string{"--name=copy", "--initial-cluster=copy=http://127.0.0.1:1"}
	run(t, 0, []string{"warning: 2 of 3 members run: node1 (http", "the restored data is a copy"}, words("restore", []string{archive, "--data-dir=" + target(t)}, copied)...)
	run(t, 2, remedy, words("restore", []string{archive, "--replace", "--data-dir=" + lost.DataDir}, copied)...)
	run(t, 0, []string{"warning: the cluster still runs", "restored "}, words("restore", []string{archive, "--ignore-running-members"}, own)...)
	// Without a majority the survivor is named.
	must(t, c.Members[1].Kill())
	eventually(t, "the survivor knows no leader", func() bool {
		p := start(t, "restore", archive, "--name=node2", "--data-dir="+c.Members[1].DataDir, "--replace", "--dry-run")
		<-p.done
		return strings.Contains(p.stderr.String(), "warning: 1 of 3 members run: node1 ("+c.Members[0].ClientURL+", knows no leader); before you go on, take a last snapshot there")
	})
	run(t, 0, []string{"restored "}, "restore", archive, "--name=node2", "--data-dir="+c.Members[1].DataDir, "--replace")
}

// A snapshot in the bucket is not downloaded for a restore that is refused.
func TestRestoreIsRefusedBeforeTheDownload(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	m := newMirrorBed(t, server)
	b := m.bucket(t)
	archive := saved(t, c)
	b.plant(archive, filepath.Base(archive))
	must(t, c.Members[2].Kill())
	awaitLeader(t, c.Members[:2])
	proxy, err := s3test.NewHTTPFaults(t.Context(), server.Target)
	must(t, err)
	defer proxy.Close()
	var downloads atomic.Int32
	proxy.Set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".zst") && r.Header.Get("Range") == "" {
			downloads.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	restore := words("restore", b.flags(proxy.Target), []string{"--from=s3", "--name=node3", "--data-dir=" + target(t)})
	run(t, 2, []string{filepath.Base(archive) + ": restore: the cluster still runs"}, restore...)
	if n := downloads.Load(); n != 0 {
		t.Errorf("%d downloads before the refusal", n)
	}
	p := run(t, 0, []string{"restored "}, append(restore, "--ignore-running-members")...)
	if n := strings.Count(p.stderr.String(), "warning: the cluster still runs"); n != 1 || downloads.Load() == 0 {
		t.Errorf("%d warnings and %d downloads:\n%s", n, downloads.Load(), p.stderr.String())
	}
}

// Without certificates a member that demands one is seen all the same; with them, its state is.
func TestRestoreSeesMembersThatDemandCertificates(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, TLS: true, UnsafeNoFsync: true})
	archive := saved(t, c)
	must(t, c.Members[2].Kill())
	awaitLeader(t, c.Members[:2])
	restore := []string{archive, "--name=node3", "--data-dir=" + target(t)}
	run(t, 2, []string{"node1 (https://", "a server answers there"}, words("restore", restore)...)
	run(t, 2, []string{"node1 (https://", "knows a leader"}, words("restore", restore,
		[]string{"--cacert=" + c.PKI.CACert, "--cert=" + c.PKI.Client.Cert, "--key=" + c.PKI.Client.Key})...)
}

// Members that run in the restored cluster already are no reason to refuse the restore of the last one.
func TestRestoreOfTheLastMemberIsNotRefused(t *testing.T) {
	parallel(t)
	l := lose(t, etcdtest.Default)
	for i := range 2 {
		m := l.revive(t, i, l.restore(t, i, l.archive))
		defer m.kill()
		if i == 1 {
			stateOf(t, m.client) // until both answer
		}
	}
	l.restore(t, 2, l.archive)
}

// Data of another cluster is replaced on request only. A restored cluster is no other one, if the restore is recorded, or if the same
// snapshot is restored again.
func TestRestoreRefusesToReplaceTheDataOfAnotherCluster(t *testing.T) {
	parallel(t)
	var archives, raws, dirs []string
	for range 2 {
		c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
		_, err := etcdtest.Dial(t, c).Put(t.Context(), "a", "b")
		must(t, err)
		archives = append(archives, saved(t, c))
		raws = append(raws, unpack(t, archives[len(archives)-1]))
		dirs = append(dirs, c.Members[0].DataDir)
		must(t, c.Members[0].Stop())
	}
	replace := []string{"--data-dir=" + dirs[0], "--replace"}
	before := tree(t, dirs[0])
	for _, from := range []string{archives[1], raws[1]} {
		run(t, 2, []string{"another cluster: the data in " + dirs[0] + " is of cluster ", "node1", "is this the right node", "--other-cluster"}, words("restore", []string{from}, replace)...)
		run(t, 0, []string{"warning: another cluster", "nothing is changed"}, words("restore", []string{from, "--dry-run"}, replace)...)
	}
	wantTree(t, dirs[0], before)
	for _, from := range []string{archives[0], raws[0]} {
		silent(t, words("restore", []string{from, "--dry-run"}, replace)...)
	}
	// Restored, and again: the same snapshot needs no record, an earlier state of the cluster does.
	store := t.TempDir()
	silent(t, words("restore", []string{archives[0], "--kubernetes"}, replace, []string{"--dir=" + store})...)
	restored := time.Now().Unix()
	eventually(t, "the name for the next old data is free", func() bool { return time.Now().Unix() > restored })
	silent(t, words("restore", []string{archives[0], "--kubernetes", "--dry-run", "--dir=" + t.TempDir()}, replace)...)
	run(t, 2, []string{"another cluster"}, words("restore", []string{archives[0]}, replace)...)
	silent(t, words("restore", []string{archives[0], "--dry-run"}, replace, []string{"--dir=" + store})...)
	run(t, 0, []string{"warning: another cluster"}, words("restore", []string{archives[1], "--other-cluster", "--dry-run"}, replace)...)
	// What cannot be read is a note.
	must(t, os.RemoveAll(filepath.Join(dirs[1], "member/wal")))
	must(t, os.WriteFile(filepath.Join(dirs[1], "member/snap/db"), []byte("damaged"), 0o600))
	must(t, os.Mkdir(filepath.Join(dirs[1], "member/wal"), 0o700))
	must(t, os.WriteFile(filepath.Join(dirs[1], "member/wal/0000000000000000-0000000000000000.wal"), []byte("damaged"), 0o600))
	run(t, 0, []string{"warning: cannot tell whether the data in " + dirs[1]}, "restore", archives[0], "--data-dir="+dirs[1], "--replace", "--dry-run")
}

// silent runs a command that has nothing to warn of.
func silent(t testing.TB, args ...string) {
	t.Helper()
	if p := run(t, 0, nil, args...); p.stderr.String() != "" {
		t.Errorf("%s: %s", strings.Join(args, " "), p.stderr.String())
	}
}

// A restore is recorded under the ID that the restored etcd reports, with the clusters that it continues.
func TestRestoreIsRecordedForTheDaemon(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	archive := saved(t, c)
	must(t, c.Members[0].Kill())
	store, dir := filepath.Join(t.TempDir(), "a", "store"), target(t)
	run(t, 0, []string{"nothing is changed"}, "restore", archive, "--data-dir="+dir, "--dir="+filepath.Dir(archive), "--dry-run")
	run(t, 0, nil, "restore", archive, "--data-dir="+dir, "--dir="+store)
	if _, err := os.Stat(store); err == nil {
		t.Error("a directory is made where there is no daemon")
	}
	must(t, os.RemoveAll(dir))
	run(t, 0, nil, "restore", "--data-dir="+dir, "--dir="+filepath.Dir(archive))
	var records []snapshot.Restored
	data, err := os.ReadFile(filepath.Join(filepath.Dir(archive), ".restored.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &records))
	r := reviveAlone(t, etcdtest.Default, "node1", dir)
	status, err := r.client.Status(t.Context(), r.client.Endpoints()[0])
	must(t, err)
	name, err := snapshot.ParseName(filepath.Base(archive))
	must(t, err)
	taken, err := snapshot.NewDir(filepath.Dir(archive)).Manifest(name)
	must(t, err)
	if len(records) != 1 || uint64(records[0].ClusterID) != status.Header.ClusterId || len(records[0].Predecessors) != 1 || records[0].Predecessors[0] != taken.ClusterID ||
		records[0].Snapshot != filepath.Base(archive) {
		t.Errorf("recorded is %+v; etcd reports cluster %x, before it was %s", records, status.Header.ClusterId, taken.ClusterID)
	}
	// A record that cannot be written is a warning: the restore has succeeded.
	must(t, os.Remove(filepath.Join(filepath.Dir(archive), ".restored.json")))
	must(t, os.Mkdir(filepath.Join(filepath.Dir(archive), ".restored.json"), 0o700))
	run(t, 0, []string{"warning: the restore is not recorded in " + filepath.Dir(archive), "restored "}, "restore", archive, "--data-dir="+target(t), "--dir="+filepath.Dir(archive))
}

// Between a restore and the daemon's next snapshot, check must not advise to delete the snapshots from before as those of another cluster.
func TestCheckAfterARestoreFindsNoOtherCluster(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	dir, data := newStore(t), target(t)
	w := watch(t, dir, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	eventually(t, "there are two snapshots", func() bool {
		l, err := snapshot.NewDir(dir).List()
		must(t, err)
		return len(l.Snapshots) > 1
	})
	w.stop(t, syscall.SIGTERM, 0)
	must(t, c.Members[0].Kill())
	run(t, 0, nil, "restore", "--data-dir="+data, "--dir="+dir)
	r := reviveAlone(t, etcdtest.Default, "node1", data)
	checked := run(t, 0, []string{"newest snapshot"}, words("check", store(dir), []string{"--endpoints=" + r.client.Endpoints()[0], "--listen=off"})...)
	if out := checked.stdout.String(); strings.Contains(out, "other cluster") {
		t.Errorf("check says\n%s", out)
	}
}
