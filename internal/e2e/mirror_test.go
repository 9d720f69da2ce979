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

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// A user with the least rights there are, TLS of an own CA, an outage of ten cycles: local snapshots come and go as ever,
// and when the server is back, everything that is kept here is there.
func TestMirrorConvergesAfterAnOutage(t *testing.T) {
	parallel(t)
	server := secureServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	must(t, server.AddUser(t.Context(), "backup", "backup-secret", s3test.MinimalPolicy(b.name, "c1/")))
	proxy := s3test.RunProxy(t, server.Target)
	b.put("c1/notes.txt", "not ours")
	b.put("rolling_"+node+"_20200101T000000Z.db.zst", "another folder's")
	foreign := b.keys()

	c, dir := small(t, etcdtest.Options{UnsafeNoFsync: true}), newStore(t)
	mirror := append(b.flags(proxy.As("backup", "backup-secret")), "--s3-folder=/c1/", "--s3-keep-last=20", "--s3-stall=2s", "--s3-timeout=2s")
	args := words("daemon", flags(c, c.Endpoints()[0]), store(dir), mirror, []string{"--schedule=@every 1s", "--keep-last=3", "--log-level=debug"})
	d := start(t, args...)
	ours := func() []string {
		return slices.DeleteFunc(b.keys(), func(k string) bool { return slices.Contains(foreign, k) })
	}
	eventually(t, "the first snapshots were mirrored", func() bool { return len(ours()) >= 2 })
	must(t, proxy.Down())
	d.says(t, "mirroring failed") // and so no upload is on its way any more
	before := len(ours())
	newestBefore := listed(t, dir)[0].Name.Time
	eventually(t, "ten more were taken without a bucket", func() bool {
		l := listed(t, dir)
		return len(l) > 0 && l[0].Name.Time.Sub(newestBefore) >= 10*time.Second
	})
	if n := len(listed(t, dir)); n > 4 { // one may be new and the pruning not done
		t.Errorf("%d snapshots lie here: pruning waited for the bucket", n)
	}
	if after := len(ours()); after != before {
		t.Errorf("the bucket went from %d to %d while it was away", before, after)
	}
	must(t, proxy.Up())
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.stderr.String())
		}
	})
	d.says(t, "msg=mirrored")
	eventually(t, "all that lies here was there", func() bool {
		there := ours()
		for _, e := range listed(t, dir) {
			if !slices.Contains(there, "c1/"+e.Name.String()) {
				return false
			}
		}
		return len(there) > before
	})
	d.signal(t, syscall.SIGTERM)
	if status := d.ended(t); status != 0 {
		t.Errorf("exit status %d\n%s", status, d.stderr.String())
	}
	for _, key := range foreign {
		if !slices.Contains(b.keys(), key) {
			t.Errorf("%s is gone", key)
		}
	}
	for _, secret := range []string{"backup-secret"} {
		if strings.Contains(d.stderr.String(), secret) {
			t.Errorf("%q stands in the log", secret)
		}
	}
}

// Two nodes whose names begin alike and two clusters share one bucket: neither sees or prunes the other.
func TestNodesAndClustersShareABucket(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	c := small(t, etcdtest.Options{UnsafeNoFsync: true})
	var want []string
	for i, who := range []struct{ node, folder string }{{"a", "one"}, {"a-b", "one"}, {"a", "two"}} {
		dir := newStore(t)
		run(t, 0, nil, words("save", flags(c, c.Endpoints()[0]), []string{"--dir=" + dir, "--node=" + who.node, "--min-free=0"})...)
		taken := listed(t, dir)[0].Name
		for day := range 4 {
			n, err := snapshot.NewName(snapshot.RollingSet, who.node, time.Date(2026, 1, 1+day, i, 0, 0, 0, time.UTC))
			must(t, err)
			must(t, os.Link(filepath.Join(dir, taken.String()), filepath.Join(dir, n.String())))
			if day >= 2 {
				want = append(want, who.folder+"/"+n.String())
			}
		}
		must(t, os.Remove(filepath.Join(dir, taken.String())))
		args := words("mirror", []string{"--dir=" + dir, "--node=" + who.node, "--s3-folder=" + who.folder, "--s3-keep-last=2"}, b.flags(server.Target))
		run(t, 0, []string{"2 uploaded"}, args...)
		run(t, 0, []string{"0 uploaded, 0 waiting, 0 removed"}, args...)
	}
	slices.Sort(want)
	if got := b.keys(); !slices.Equal(got, want) {
		t.Errorf("the bucket holds\n%q, want\n%q", got, want)
	}
}

// An object that does not arrive as it was stored is found, and a good local copy is never replaced by it.
func TestAlteredObjectIsFound(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	faults := s3test.RunHTTPFaults(t, server.Target)
	c, dir := small(t, etcdtest.Options{UnsafeNoFsync: true}), newStore(t)
	mirror := b.flags(faults.Target)
	run(t, 0, []string{"mirrored"}, words("save", flags(c, c.Endpoints()[0]), store(dir), mirror)...)
	good, err := os.ReadFile(only(t, dir))
	must(t, err)
	elsewhere := newStore(t)
	faults.Set(s3test.When(s3test.Download, s3test.Flip(1000)))
	for name, args := range map[string][]string{
		"verify":             words("verify", []string{"--from=s3", "--dir=" + dir, "--min-free=0"}, mirror),
		"download":           words("download", []string{"--to=" + elsewhere + "/", "--min-free=0"}, mirror),
		"download to a file": words("download", []string{"--to=" + filepath.Join(elsewhere, "file"), "--min-free=0"}, mirror),
	} {
		t.Run(name, func(t *testing.T) { run(t, 3, []string{"damaged"}, args...) })
	}
	wantNothing(t, elsewhere)
	run(t, 1, []string{"exists"}, words("download", []string{"--dir=" + dir, "--min-free=0"}, mirror)...)
	if now, err := os.ReadFile(only(t, dir)); err != nil || !slices.Equal(now, good) {
		t.Errorf("the local copy changed: %v", err)
	}
	faults.Set(nil)
	run(t, 0, []string{"is intact"}, words("verify", []string{"--from=s3", "--dir=" + dir, "--min-free=0"}, mirror)...)
	run(t, 0, []string{"verified"}, words("download", []string{"--to=" + elsewhere + "/", "--min-free=0"}, mirror)...)
	wantWhole(t, elsewhere, 1)
}

// Killed at any moment of an upload, the next start finishes the work, what lies in the bucket is whole, and the parts that the
// killed ones had sent are no longer kept.
func TestKilledUploadIsFinishedByTheNextStart(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b, faults := newBucket(t, server.Target, s3test.BucketOptions{}), s3test.RunHTTPFaults(t, server.Target)
	c, dir, r := solid(t), newStore(t), random(t)
	run(t, 0, nil, words("save", flags(c, c.Endpoints()[0]), store(dir))...)
	name := filepath.Base(only(t, dir))
	pass := func(target s3test.Target, more ...string) []string {
		return words("mirror", []string{"--dir=" + dir, "--node=" + node}, b.flags(target), more)
	}
	sending := make(chan struct{}, 100) // a request for each part of each start
	faults.Set(s3test.When(func(r *http.Request) bool { return r.URL.Query().Has("partNumber") },
		func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			sending <- struct{}{}
			next.ServeHTTP(w, r)
		}))
	// So slow that it can't end by itself before it is killed, on any machine.
	slow := pass(faults.Target, "--s3-upload-rate=512KiB")
	for i := range 8 {
		p := start(t, slow...)
		if i%2 == 1 { // every other one is killed in the middle for certain, the rest wherever it is
			select {
			case <-sending:
			case <-p.done:
				t.Fatalf("the upload ended by itself:\n%s", p.stderr.String())
			}
		}
		p.killAfter(time.Duration(r.Int64N(int64(500 * time.Millisecond))))
		if keys := b.keys(); len(keys) > 0 {
			t.Fatalf("after a kill %q is in the bucket", keys)
		}
		for len(sending) > 0 {
			<-sending
		}
	}
	if b.uploads(name) == 0 {
		t.Error("none of eight was killed in the middle of an upload")
	}
	run(t, 0, []string{"1 uploaded, 0 waiting"}, pass(server.Target)...)
	if n := b.uploads(name); n != 0 {
		t.Errorf("%d unfinished uploads are left", n)
	}
	run(t, 0, []string{"is intact"}, words("verify", []string{"--from=s3", "--dir=" + dir, "--min-free=0"}, b.flags(server.Target))...)
}

// What is wrong with the mirror is one line that says what to look at, and costs no local snapshot.
func TestSaveReportsWhatIsWrongWithTheBucket(t *testing.T) {
	parallel(t)
	server := secureServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	other, err := s3test.NewCA(t.TempDir())
	must(t, err)
	c := small(t, etcdtest.Options{UnsafeNoFsync: true})
	must(t, server.AddUser(t.Context(), "reader", "reader-secret", strings.ReplaceAll(s3test.MinimalPolicy(b.name, ""), "s3:PutObject", "s3:GetObjectTagging")))
	strange := server.Target
	strange.CAFile = other.File
	nobody := *b
	nobody.name = "no-such-bucket"
	for name, tc := range map[string]struct {
		flags []string
		words []string
	}{
		"wrong CA":       {b.flags(strange), []string{"--s3-ca"}},
		"wrong secret":   {b.flags(server.As(server.AccessKey, "wrong-secret-1")), []string{"--s3-secret-key-file"}},
		"no bucket":      {nobody.flags(server.Target), []string{"NoSuchBucket", "create the bucket"}},
		"may not put":    {b.flags(server.As("reader", "reader-secret")), []string{"s3:PutObject"}},
		"nobody listens": {append(b.flags(server.Target), "--s3-endpoint=https://127.0.0.1:1"), []string{"--s3-endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newStore(t)
			p := run(t, 1, append(tc.words, "saved "), words("save", flags(c, c.Endpoints()[0]), store(dir), tc.flags)...)
			t.Log(strings.TrimSpace(p.stderr.String()))
			wantWhole(t, dir, 1)
			for _, secret := range []string{server.SecretKey, "wrong-secret-1", "reader-secret"} {
				if strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
					t.Errorf("%q stands in the output", secret)
				}
			}
		})
	}
}
