package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// A large archive that has rotted on the disk is sent once and set aside, while others are uploaded; a good one in its place is uploaded.
func TestMirrorSendsADamagedArchiveOnce(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	b, faults := bed.bucket(t), s3test.RunHTTPFaults(t, bed.server.Target)
	n, dir := storetest.Name(t, "large", node, 0), newStore(t)
	good := storetest.Archive(t, n, 20<<20)
	rotten := append([]byte{}, good...)
	rotten[len(good)/2] ^= 1
	file := filepath.Join(dir, n.String())
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(file, rotten, 0o600))
	parts := func() int {
		count := 0
		for _, r := range faults.Requests() {
			if r.Method == http.MethodPut && strings.HasSuffix(r.Path, n.String()) {
				count++
			}
		}
		return count
	}
	p := bed.followIn(t, dir, b.flags(faults.Target), patient)
	p.next(t, "mirroring failed: a snapshot on the disk is damaged", n.String(), "waiting=1")
	p.says(t, "renamed a damaged snapshot to NAME.broken")
	for range 3 {
		p.next(t, "msg=mirrored", "uploaded=1")
	}
	if sent := parts(); sent != 2 {
		t.Errorf("%d parts were sent, not both once", sent)
	}
	must(t, os.WriteFile(file+".new", good, 0o600))
	must(t, os.Rename(file+".new", file))
	b.converges(dir)
	if sent := parts(); sent != 4 {
		t.Errorf("%d parts were sent, not the good ones as well", sent)
	}
	_, err := os.Stat(file + snapshot.BrokenSuffix)
	must(t, err)
	p.stop(t, syscall.SIGTERM, 0)
}
