package e2e_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

// A bucket that is full in the middle of an upload: the line says so, nothing stands there under the snapshot's name, no part is
// kept, and when there is room again all of it arrives.
func TestFullBucketKeepsNoParts(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b, faults := newBucket(t, server.Target, s3test.BucketOptions{}), s3test.RunHTTPFaults(t, server.Target)
	c, dir := solid(t), newStore(t)
	at := words("", flags(c, c.Endpoints()[0]), store(dir))[1:]
	run(t, 0, nil, words("save", at)...)
	first := filepath.Base(only(t, dir))
	mirror := b.flags(faults.Target)
	pass := words("mirror", mirror, []string{"--dir=" + dir, "--node=" + node})

	later := func(r *http.Request) bool {
		q := r.URL.Query()
		return q.Has("partNumber") && q.Get("partNumber") != "1"
	}
	for code, status := range map[string]int{ // of MinIO, and of any server
		"XMinioAdminBucketQuotaExceeded": http.StatusBadRequest,
		"XMinioStorageFull":              http.StatusInsufficientStorage,
		"OutOfSpace":                     http.StatusInsufficientStorage,
	} {
		faults.Set(s3test.When(later, s3test.Refuse(status, code)))
		run(t, 1, []string{code, "put " + first, "raise the quota, free some space there"}, pass...)
		b.has()
		if n := b.uploads(first); n != 0 {
			t.Errorf("%s: %d unfinished uploads are left", code, n)
		}
	}
	// A daemon goes on, and so does who saves by hand.
	d := &follower{process: start(t, words("daemon", at, mirror, []string{"--schedule=@every 1h", "--log-level=debug"})...)}
	d.next(t, "snapshot saved")
	d.next(t, "mirroring failed", "raise the quota", "waiting=2", "uploaded=0")
	run(t, 1, []string{"saved", "safe here but not in the bucket", "raise the quota"}, words("save", at, mirror, []string{"--label=by-hand"})...)
	b.has()
	wantWhole(t, dir, 3)
	faults.Set(nil)
	d.next(t, "msg=mirrored", "waiting=0")
	b.converges(dir)
	d.stop(t, syscall.SIGTERM, 0)
	for _, e := range listed(t, dir) {
		name := e.Name.String()
		if n := b.uploads(name); n != 0 {
			t.Errorf("%d unfinished uploads of %s are left", n, name)
		}
		run(t, 0, []string{"is intact"}, words("verify", mirror, []string{"--from=s3", "--dir=" + dir, "--min-free=0", name})...)
	}
	if log := d.stderr.String(); strings.Contains(log, "snapshot failed") {
		t.Errorf("a full bucket costs a snapshot here:\n%s", log)
	}
}
