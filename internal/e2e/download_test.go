package e2e_test

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// A download that was killed is repeated as if it had not been. Into a directory of somebody else's, like /tmp, it puts the
// archive and nothing else.
func TestKilledDownloadIsRepeated(t *testing.T) {
	parallel(t)
	pki, archive := peerBed(t, solid(t))
	s := serve(t, pki, archive, "127.0.0.1:0")
	name := filepath.Base(archive)
	for _, to := range []struct {
		flag  string
		extra []string // files beside the archive
	}{{"--dir=", []string{".lock"}}, {"--to=", nil}} {
		dir := t.TempDir()
		download := func(address string) []string {
			return words("download", []string{"--peer=" + address, to.flag + dir, "--min-free=0"}, certificates(pki, pki.Client))
		}
		v := newValve(t, s.address, middle)
		p := start(t, download(v.Endpoint())...)
		v.holds(t)
		partial(t, dir)
		run(t, 1, []string{"another process is writing " + name, "wait until it exits"}, download(s.address)...)
		p.signal(t, syscall.SIGKILL)
		p.ended(t)
		if left := files(t, dir); !slices.Contains(left, name+".part") {
			t.Errorf("%s: it was killed too late: %q", to.flag, left)
		}
		run(t, 0, []string{"downloaded " + filepath.Join(dir, name), "verified"}, download(s.address)...)
		if left := files(t, dir); !slices.Equal(left, append(to.extra, name)) {
			t.Errorf("%s: there are %q", to.flag, left)
		}
		wantWhole(t, dir, 1)
	}
}
