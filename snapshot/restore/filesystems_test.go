package restore

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// On overlayfs a directory that came with the image can't be renamed. That is found before the work; the command that the message gives
// helps. With redirect_dir, and for data that was written later, it works.
func TestRestoreOnOverlayfs(t *testing.T) {
	in := given{data: database(t, 3)}
	for _, x := range []struct {
		what, options string
		inUpper       bool
		fails         bool
	}{
		{"lower", "redirect_dir=off", false, true},
		{"lower, redirect_dir", "redirect_dir=on", false, false},
		{"upper", "redirect_dir=off", true, false},
	} {
		dir := t.TempDir()
		mounted(t, "tmpfs", dir+"/up", "tmpfs", 0, "size=600m")
		for _, name := range []string{"/low", "/up/u", "/up/w"} {
			must(t, os.Mkdir(dir+name, 0o700))
		}
		data := dir + "/over/data"
		if !x.inUpper {
			occupied(t, dir+"/low/data")
		}
		mounted(t, "overlay", dir+"/over", "overlay", 0, "lowerdir="+dir+"/low,upperdir="+dir+"/up/u,workdir="+dir+"/up/w,"+x.options)
		if x.inUpper {
			occupied(t, data)
		}
		o := Options{DataDir: data, Replace: true}
		if x.fails {
			before := listing(t, data)
			_, err := Check(t.Context(), o, noon)
			refused(t, x.what, err, ErrTarget, "can't rename "+data+"/member", "move it aside yourself: mv -T "+data+"/member "+data+"/member"+aside)
			if got := listing(t, data); got != before {
				t.Errorf("there was %s, and there is %s", before, got)
			}
			must(t, exec.Command("mv", "-T", data+"/member", data+"/member"+aside).Run())
		}
		_, err := restored(t, in, o)
		must(t, err)
		wantData(t, data, false)
		wantNames(t, data, "member member"+aside)
	}
}

// Some file systems, like NFS, rename a file that is removed while it is open, and its directory can't be removed before it is closed.
// There a restore leaves nothing either, and no file is open after it.
func TestRestoreLeavesNothingWhereOpenFilesCannotBeRemoved(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("bindfs", t.TempDir(), dir).CombinedOutput(); err != nil {
		t.Fatalf("bindfs: %v: %s", err, out)
	}
	t.Cleanup(func() {
		// The file system learns a moment later that a file is closed.
		for end := time.Now().Add(20 * time.Second); errors.Is(unix.Unmount(dir, 0), unix.EBUSY); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("a file is still open")
				must(t, unix.Unmount(dir, unix.MNT_DETACH))
				return
			}
		}
	})
	in := given{data: database(t, 3)}
	_, err := restored(t, in, Options{DataDir: dir + "/data"})
	must(t, err)
	soonNames(t, dir, "data")
	_, err = restored(t, in, Options{DataDir: dir + "/data", Replace: true})
	must(t, err)
	wantData(t, dir+"/data", false)
	soonNames(t, dir+"/data", "member member"+aside)
	wantNames(t, dir+"/data/member/wal", restoredLog)
	// Nor does one that fails.
	_, err = restored(t, given{data: []byte("nothing of the kind")}, Options{DataDir: dir + "/new"})
	refused(t, "no database", err, snapshot.ErrDamaged)
	soonNames(t, dir, "data")
}

// soonNames is wantNames where the file system closes files a moment later than their process.
func soonNames(t testing.TB, dir, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); names(t, dir) != want && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	wantNames(t, dir, want)
}
