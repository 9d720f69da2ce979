package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/internal/s3test"
)

// Kubernetes may never see a revision twice, whichever snapshot is restored, and how often: the revision exceeds those of the snapshots and of the
// journal, from before an earlier restore and after it.
func TestRestoreForKubernetesExceedsEachRevisionThatAClientHasSeen(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	dir := newStore(t)
	m := c.Members[0]
	put := func(n int) (last int64) {
		for i := range n {
			r, err := client.Put(t.Context(), fmt.Sprint("/registry/", i), "x")
			must(t, err)
			last = r.Header.Revision
		}
		return last
	}
	save := func() string {
		newest := time.Time{}
		if l := listed(t, dir); len(l) > 0 {
			newest = l[0].Name.Time
		}
		eventually(t, "the second of the last snapshot is over", func() bool { return time.Since(newest) > time.Second })
		run(t, 0, nil, words("save", store(dir), flags(c, m.Endpoint))...)
		return listed(t, dir)[0].Name.String()
	}
	restored := func(args ...string) int64 {
		t.Helper()
		var report struct {
			Revision int64 `json:"revision"`
		}
		p := run(t, 0, nil, words("restore", args, []string{"--kubernetes", "--output=json", "--dir=" + dir})...)
		must(t, json.Unmarshal([]byte(p.stdout.String()), &report))
		return report.Revision
	}
	exceeds := func(seen int64, args ...string) {
		t.Helper()
		if got := restored(append(args, "--data-dir="+target(t))...); got <= seen {
			t.Errorf("restore %q begins at revision %d, and clients have seen %d", args, got, seen)
		}
	}
	put(3)
	first := save()
	for i := range 4 { // more than an int32 has room for
		seen := put(10)
		second := save()
		must(t, m.Stop())
		if got := restored(first, "--data-dir="+m.DataDir, "--replace"); got <= seen {
			t.Fatalf("restore %d begins at revision %d, and clients have seen %d", i, got, seen)
		}
		must(t, m.Restart(t.Context()))
		exceeds(put(1), second)
	}
	seen := put(5)
	save()
	exceeds(seen, first)
	exceeds(seen, first, "--from=local")
	exceeds(seen)
	exceeds(seen, "--at=base")

	daemon := start(t, journalFlags(dir, c)...)
	daemon.says(t, "snapshot saved")
	seen = put(20)
	eventually(t, "the journal has all", func() bool { return journaltest.Revision(t, dir) >= seen })
	daemon.stop(t, syscall.SIGTERM, 0)
	exceeds(seen, first)
	exceeds(seen, "--at=base")
	exceeds(seen, fmt.Sprint("--at=", seen-5))
	exceeds(seen)
	exceeds(seen, filepath.Join(dir, first))
}

// What only the bucket knows of the cluster counts too, where the directory has the snapshot that is named.
func TestRestoreForKubernetesExceedsWhatOnlyTheBucketKnows(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	s3 := b.flags(server.Target)
	dir, m := newStore(t), c.Members[0]
	run(t, 0, nil, words("save", store(dir), flags(c, m.Endpoint))...)
	first := filepath.Base(only(t, dir))
	must(t, m.Stop())
	elsewhere := newStore(t) // another machine, with a daemon
	must(t, os.Mkdir(elsewhere, 0o700))
	run(t, 0, nil, "restore", filepath.Join(dir, first), "--dir="+elsewhere, "--kubernetes", "--data-dir="+m.DataDir, "--replace")
	must(t, m.Restart(t.Context()))
	r, err := client.Put(t.Context(), "/registry/x", "x")
	must(t, err)
	run(t, 0, nil, words("save", store(elsewhere), flags(c, m.Endpoint))...)
	run(t, 0, nil, words("mirror", s3, []string{"--dir=" + elsewhere, "--node=" + node})...)
	p := run(t, 0, []string{"the cluster had revision"}, words("restore", []string{first}, s3, []string{"--dir=" + dir, "--kubernetes", "--data-dir=" + target(t), "--output=json"})...)
	var report struct {
		Revision int64 `json:"revision"`
	}
	must(t, json.Unmarshal([]byte(p.stdout.String()), &report))
	if report.Revision <= r.Header.Revision {
		t.Errorf("restore begins at revision %d, and clients have seen %d", report.Revision, r.Header.Revision)
	}
}

// A restore that is repeated before anything was written has the same number: the other members may have it already. Once something was written, it exceeds that,
// also if only the data that is replaced knows.
func TestRestoreForKubernetesAgainHasTheSameNumber(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	m := c.Members[0]
	put := func() int64 {
		t.Helper()
		r, err := client.Put(t.Context(), "/registry/x", "x")
		must(t, err)
		return r.Header.Revision
	}
	put()
	dir := newStore(t)
	daemon := start(t, journalFlags(dir, c)...)
	daemon.says(t, "snapshot saved")
	seen := put()
	eventually(t, "the journal has all", func() bool { return journaltest.Revision(t, dir) >= seen })
	daemon.stop(t, syscall.SIGTERM, 0)
	must(t, m.Stop())
	type made struct {
		Revision int64  `json:"revision"`
		Token    string `json:"initial_cluster_token"`
	}
	last := time.Now()
	restored := func(args ...string) (r made) {
		t.Helper()
		eventually(t, "the second of the last restore is over", func() bool { return time.Since(last) > time.Second })
		defer func() { last = time.Now() }()
		p := run(t, 0, nil, words("restore", args, []string{"--kubernetes", "--output=json", "--replace", "--data-dir=" + m.DataDir})...)
		must(t, json.Unmarshal([]byte(p.stdout.String()), &r))
		return r
	}
	for _, args := range [][]string{{"--dir=" + dir}, {"--dir=" + dir, "--at=base"}, {listed(t, dir)[0].Name.String(), "--dir=" + dir}} {
		first := restored(args...)
		if again := restored(args...); again != first || first.Revision <= seen || first.Token == "" {
			t.Errorf("restore %q makes %+v, and again %+v", args, first, again)
		}
		must(t, m.Restart(t.Context()))
		seen = put()
		must(t, m.Stop())
		if after := restored(args...); after.Revision <= seen {
			t.Errorf("restore %q begins at revision %d, and clients have seen %d", args, after.Revision, seen)
		}
	}
	unrecorded := newStore(t)
	must(t, os.Mkdir(unrecorded, 0o700))
	name := filepath.Join(dir, listed(t, dir)[0].Name.String())
	restored(name, "--dir="+unrecorded, "--other-cluster")
	must(t, m.Restart(t.Context()))
	seen = put()
	must(t, m.Stop())
	must(t, os.Remove(filepath.Join(dir, ".restored.json")))
	if after := restored(name, "--dir="+dir, "--other-cluster"); after.Revision <= seen {
		t.Errorf("restore begins at revision %d, and clients have seen %d, as only the data knows", after.Revision, seen)
	}
}
