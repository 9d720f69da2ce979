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
)

// A large archive that has rotted on the disk is sent once and then never again, while others come; mended, it comes as well.
func TestMirrorSendsADamagedArchiveOnce(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	b, faults := bed.bucket(t), s3test.RunHTTPFaults(t, bed.server.Target)
	p, dir := bed.follow(t, b.flags(faults.Target))
	p.next(t, "msg=mirrored")
	n := storetest.Name(t, "large", node, 0)
	good := storetest.Archive(t, n, 20<<20)
	rotten := append([]byte{}, good...)
	rotten[len(good)/2] ^= 1
	place := func(data []byte) {
		t.Helper()
		file := filepath.Join(dir, n.String())
		must(t, os.WriteFile(file+".new", data, 0o600))
		must(t, os.Rename(file+".new", file))
	}
	parts := func() int {
		count := 0
		for _, r := range faults.Requests() {
			if r.Method == http.MethodPut && strings.HasSuffix(r.Path, n.String()) {
				count++
			}
		}
		return count
	}
	place(rotten)
	for range 3 {
		p.next(t, "mirroring failed: a snapshot on the disk is damaged", n.String(), "waiting=1")
		if sent := parts(); sent != 2 {
			t.Errorf("%d parts were sent, not both once", sent)
		}
	}
	p.next(t, "kept snapshot")
	p.next(t, "mirroring failed", n.String(), "uploaded=1")
	place(good)
	b.converges(dir)
	if sent := parts(); sent != 4 {
		t.Errorf("%d parts were sent, not the good ones as well", sent)
	}
	p.stop(t, syscall.SIGTERM, 0)
}
