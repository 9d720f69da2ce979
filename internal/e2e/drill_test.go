package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// verify --restore starts an etcd on the snapshot and says what that held.
func TestVerifyRestoreStartsAnEtcd(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	run(t, 0, nil, words("save", store(dir), flags(c, c.Members[0].Endpoint))...)
	p := run(t, 0, []string{"is intact", "restored as a test: etcd 3.7"}, "verify", "--dir="+dir, "--restore", "--min-free=0")
	if strings.Contains(p.stdout.String(), "has all 0 keys") {
		t.Errorf("no key was counted:\n%s", p.stdout.String())
	}
	p = run(t, 0, nil, "verify", "--dir="+dir, "--restore", "--min-free=0", "--output=json")
	var got struct {
		Keys  int64
		Drill struct {
			Keys, Revision int64
			Sampled        int
		}
	}
	must(t, json.Unmarshal([]byte(p.stdout.String()), &got))
	if got.Keys == 0 || got.Drill.Keys != got.Keys || got.Drill.Sampled == 0 {
		t.Errorf("verify says %+v", got)
	}
	wantOnlySnapshots(t, dir, 1)

	// Nothing of a drill is begun on what is not whole.
	archive := only(t, dir)
	alter(t, archive)
	run(t, 3, []string{"damaged"}, "verify", "--dir="+dir, "--restore", "--min-free=0")
}

// The daemon restores the first snapshot immediately, remembers that over a restart, and finds a snapshot that is altered, which it sets
// aside and replaces.
func TestDrillPassesOnceAndFindsDamage(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	args := words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1h"})
	p := startChecked(t, append(args, "--drill-schedule=@every 7d")...)
	p.says(t, "restore drill passed")
	p.stop(t, syscall.SIGTERM, 0)
	wantOnlySnapshots(t, dir, 1)

	p = startChecked(t, append(args, "--drill-schedule=@every 7d")...)
	p.says(t, "started")
	p.stop(t, syscall.SIGTERM, 0)
	if strings.Contains(p.stderr.String(), "restore drill") {
		t.Errorf("a drill that passed is done again after a restart:\n%s", p.stderr.String())
	}

	archive := only(t, dir)
	alter(t, archive)
	p = startChecked(t, append(args, "--drill-schedule=@every 1s")...)
	p.says(t, "restore drill failed")
	p.says(t, "renamed a damaged snapshot to NAME.broken")
	p.says(t, "restore drill passed") // of the one that replaces it
	p.stop(t, syscall.SIGTERM, 0)
	_, err := os.Stat(archive + snapshot.BrokenSuffix)
	must(t, err)
	s := readStatus(t, dir)
	if !slices.ContainsFunc(s.History, func(f status.Failure) bool {
		return f.Reason == status.Damaged && f.Name.String() == filepath.Base(archive)
	}) {
		t.Errorf("the status does not have what the drill has found: %+v", s.History)
	}
}

// A drill of what the bucket holds reads it from there, and finds it altered while the local copy is good.
func TestDrillFromS3FindsAnAlteredObject(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, secureServer.get(t))
	b := bed.bucket(t)
	dir := newStore(t)
	args := words("daemon", store(dir), flags(bed.etcd, bed.etcd.Members[0].Endpoint), b.flags(bed.server.Target),
		[]string{"--schedule=@every 1h", "--drill-from=s3", "--drill-schedule=@every 1s"})
	p := startChecked(t, args...)
	p.says(t, "restore drill passed")
	p.stop(t, syscall.SIGTERM, 0)
	data, err := os.ReadFile(only(t, dir))
	must(t, err)
	data[100] ^= 1
	b.put(b.keys()[0], string(data)) // as large as before, or the mirror would put it anew
	run(t, 0, nil, "verify", "--dir="+dir)
	p = startChecked(t, args...)
	p.says(t, "restore drill failed")
	p.stop(t, syscall.SIGTERM, 0)
}

// An S3 that is away says nothing about the snapshot: the drill is skipped, stays due, and is done once S3 is back and the next one due.
func TestDrillIsSkippedWhileS3IsDown(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	b, dir := bed.bucket(t), newStore(t)
	proxy := s3test.RunProxy(t, bed.server.Target)
	must(t, proxy.Down())
	w := watch(t, dir, flags(bed.etcd, bed.etcd.Members[0].Endpoint), b.flags(proxy.Target), impatient,
		[]string{"--schedule=@every 1h", "--drill-from=s3", "--drill-schedule=@every 1s"})
	w.says(t, "restore drill skipped")
	eventually(t, "the drill was counted as skipped", func() bool {
		n, _ := w.value(t, `runs_total{kind="drill",reason="host",result="skipped"}`)
		return n > 0
	})
	if v, there := w.value(t, "drill_passed"); there {
		t.Errorf("drill_passed is %v without any drill", v)
	}
	w.has(t, `failures_in_a_row{kind="drill"}`, 0)
	must(t, proxy.Up())
	w.says(t, "restore drill passed")
	w.has(t, "drill_passed", 1)
	w.stop(t, syscall.SIGTERM, 0)
}

// etcd cannot run on a file system that can't sync directories. That says nothing about the snapshot: its drill is skipped, and a restore
// there fails with the cause and changes nothing.
func TestDrillAndRestoreNameADiskThatCannotSyncDirectories(t *testing.T) {
	parallel(t)
	archive := saved(t, etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}))
	strace := func(args ...string) *process {
		flags := []string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EINVAL", lean}
		return launch(t, exec.Command("strace", append(flags, args...)...))
	}
	strace("verify", "--restore", "--min-free=0", archive).demand(t, 1, "drill skipped: the file system of "+filepath.Dir(archive)+" can't sync directories")
	if left := drillsIn(t, filepath.Dir(archive)); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
	dir := target(t)
	strace("restore", archive, "--data-dir="+dir).demand(t, 2, "can't sync directories, and etcd needs that: use another disk")
	if left := files(t, filepath.Dir(dir)); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
}

// A daemon that is killed in a drill leaves nothing of it, whoever cleans up: its child or the next start.
func TestKilledDrillLeavesNothing(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	args := words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1h", "--drill-schedule=@every 1s"})
	for range 5 {
		p := startChecked(t, args...)
		eventually(t, "a drill runs", func() bool { return len(drillsIn(t, dir)) > 0 })
		p.kill()
	}
	must(t, os.Mkdir(filepath.Join(dir, ".drill-1"), 0o700))
	p := startChecked(t, args...)
	p.says(t, "removed the leftovers of an interrupted restore drill")
	p.says(t, "restore drill passed")
	p.stop(t, syscall.SIGTERM, 0)
	// The last child that lost its daemon may outlive all of this: it has the lowest priority of the machine.
	eventually(t, "nothing is left of the drills", func() bool { return len(drillsIn(t, dir)) == 0 })
	wantOnlySnapshots(t, dir, 1)
}

// alter changes one byte of a file.
func alter(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[100] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
}

func drillsIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".drill-*"))
	must(t, err)
	return found
}

// wantOnlySnapshots demands so many snapshots and nothing beside them but the store's own files.
func wantOnlySnapshots(t *testing.T, dir string, count int) {
	t.Helper()
	snapshots := 0
	for _, f := range files(t, dir) {
		switch {
		case theStores(f):
		case strings.HasSuffix(f, ".db.zst"):
			snapshots++
		default:
			t.Errorf("%s lies in the store", f)
		}
	}
	if snapshots != count {
		t.Errorf("%d snapshots, want %d", snapshots, count)
	}
}
