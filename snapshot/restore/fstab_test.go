package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A disk that the next boot mounts over the restored data must be mounted now.
func TestDiskOfFstabThatIsNotMountedIsFound(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.MkdirAll(dir+"/with space", 0o700))
	mounted(t, "tmpfs", dir+"/mounted", "tmpfs", 0, "")
	must(t, os.Symlink(dir+"/mounted", dir+"/link"))
	for _, x := range []struct {
		line, dir string
		fails     bool
	}{
		{"/dev/x DIR/data ext4 defaults 0 2", "/data/member", true},
		{"/dev/x DIR/data/ ext4 defaults 0 2", "/data", true},
		{"/dev/x\tDIR/data/member/wal\text4\tnofail,noatime", "/data/member", true},
		{"/dev/x DIR ext4 defaults 0 2", "/data/member", true},
		{`UUID=1 DIR/with\040space ext4 defaults`, "/with space/member", true},
		{"/dev/x DIR/data ext4 noauto,nofail 0 2", "/data/member", false},
		{"#/dev/x DIR/data ext4 defaults 0 2", "/data/member", false},
		{"# /dev/x DIR/data ext4 defaults 0 2", "/data/member", false},
		{"/dev/x DIR/data2 ext4 defaults 0 2", "/data/member", false},
		{"/dev/x DIR/data/other ext4 defaults 0 2", "/data/member", false},
		{"/dev/x DIR/mounted ext4 defaults 0 2", "/mounted/data/member", false},
		{"/dev/x DIR/link ext4 defaults 0 2", "/mounted/data/member", false},
		{"/dev/x none swap sw 0 0", "/data/member", false},
		{"/dev/x / ext4 defaults 0 1", "/data/member", false},
		{"nonsense", "/data/member", false},
		{"", "/data/member", false},
	} {
		list := filepath.Join(t.TempDir(), "fstab")
		must(t, os.WriteFile(list, []byte("# a comment\n"+strings.ReplaceAll(x.line, "DIR", dir)+"\n"), 0o600))
		err := checkFstab(list, dir+x.dir)
		if x.fails {
			refused(t, x.line, err, ErrTarget, "is not mounted", "mount it, or remove it from "+list)
		} else if err != nil {
			t.Errorf("%s: %v", x.line, err)
		}
	}
	must(t, checkFstab(dir+"/no-such-file", dir))
}
