package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// newDir returns a directory that is ready to be written to.
func newDir(t testing.TB) *snapshot.Dir {
	t.Helper()
	d := snapshot.NewDir(filepath.Join(t.TempDir(), "snapshots"))
	must(t, d.Prepare())
	return d
}

// put writes any file into the directory, without the package's help.
func put(t testing.TB, d *snapshot.Dir, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(d.Path(), name), content, 0o600))
}

// in returns the names of all files in a directory except its lock.
func in(t testing.TB, d *snapshot.Dir) []string {
	t.Helper()
	files, err := os.ReadDir(d.Path())
	must(t, err)
	names := []string{}
	for _, f := range files {
		if f.Name() != ".lock" {
			names = append(names, f.Name())
		}
	}
	return names
}

func TestRemove(t *testing.T) {
	d, n := newDir(t), nameA()
	other := n
	other.Node = "node-a-b"
	put(t, d, n.String(), golden(t))
	put(t, d, other.String(), golden(t))
	must(t, d.Remove(t.Context(), n))
	if got := in(t, d); !slices.Equal(got, []string{other.String()}) {
		t.Errorf("left are %q", got)
	}
	if err := d.Remove(t.Context(), n); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("a second time: %v, want ErrNotFound", err)
	}
}

func TestManifestOfFile(t *testing.T) {
	d, n := newDir(t), nameA()
	if _, err := d.Manifest(n); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("missing: %v, want ErrNotFound", err)
	}
	if _, err := d.File(n); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("missing: %v, want ErrNotFound", err)
	}
	put(t, d, n.String(), golden(t))
	m, err := d.Manifest(n)
	if err != nil || m.Name != goldenName {
		t.Errorf("the golden file's name is %s and %v", m.Name, err)
	}
	put(t, d, n.String(), golden(t)[1:])
	if _, err := d.Manifest(n); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("damaged: %v, want ErrDamaged", err)
	}
}

// Snapshots contain every secret of a cluster: only the owner may read them, whatever the umask is.
func TestFilesAreReadableByTheirOwnerOnly(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	base := t.TempDir()
	d := snapshot.NewDir(filepath.Join(base, "a", "b", "..", "c"))
	must(t, d.Prepare())
	p, err := d.Create(t.Context(), nameA())
	must(t, err)
	mode := func(path string, want fs.FileMode) {
		info, err := os.Stat(filepath.Join(base, path))
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s is %s, want %s", path, info.Mode(), want)
		}
	}
	mode("a", fs.ModeDir|0o700)
	mode("a/c", fs.ModeDir|0o700)
	mode("a/c/.lock", 0o600)
	mode("a/c/"+nameA().String()+".part", 0o600)
	must(t, p.Commit(t.Context()))
	mode("a/c/"+nameA().String(), 0o600)
}

func TestUnusableDirs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	readOnly := mountTmpfs(t, 1<<20)
	must(t, unix.Mount("", readOnly, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for name, c := range map[string]struct {
		path          string
		prepare, list error
	}{
		"missing":              {filepath.Join(t.TempDir(), "missing"), nil, snapshot.ErrUnusableDir},
		"a file":               {file, snapshot.ErrUnusableDir, snapshot.ErrUnusableDir},
		"under a file":         {filepath.Join(file, "x"), snapshot.ErrUnusableDir, snapshot.ErrUnusableDir},
		"read-only":            {readOnly, unix.EROFS, nil},
		"missing in read-only": {filepath.Join(readOnly, "x"), unix.EROFS, snapshot.ErrUnusableDir},
	} {
		d := snapshot.NewDir(c.path)
		if _, err := d.List(); !errors.Is(err, c.list) {
			t.Errorf("%s: list: %v, want %v", name, err, c.list)
		}
		if _, err := d.Create(t.Context(), nameA()); err == nil {
			t.Errorf("%s: created", name)
		}
		if _, err := d.RemovePartials(t.Context()); err == nil {
			t.Errorf("%s: cleaned", name)
		}
		if err := d.Prepare(); !errors.Is(err, c.prepare) || errors.Is(err, unix.EROFS) && errors.Is(err, snapshot.ErrUnusableDir) {
			t.Errorf("%s: prepare: %v, want %v", name, err, c.prepare)
		}
	}
}

// An error that is not a wrong setting may pass, so the daemon must be restarted.
func TestUnusableDirExcludesErrorsThatMayPass(t *testing.T) {
	for errno, want := range map[unix.Errno]bool{
		unix.ENOENT: true, unix.ENOTDIR: true, unix.EISDIR: true, unix.EACCES: true, unix.EPERM: true, unix.ENAMETOOLONG: true,
		unix.EROFS: false, unix.EIO: false, unix.EUCLEAN: false, unix.ESTALE: false, unix.ETIMEDOUT: false, unix.ENOTCONN: false,
		unix.ENOSPC: false, unix.EDQUOT: false, unix.EMFILE: false, unix.ENFILE: false, unix.ENOMEM: false,
	} {
		err := snapshot.Unusable(&fs.PathError{Op: "open", Path: "/x", Err: errno})
		if errors.Is(err, snapshot.ErrUnusableDir) != want || !errors.Is(err, errno) {
			t.Errorf("%v: a wrong setting: %t", err, !want)
		}
	}
}

// The wait for a lock that another process holds is limited.
func TestRemoveGivesUpOnALockThatIsHeld(t *testing.T) {
	d := newDir(t)
	put(t, d, ".lock", nil)
	put(t, d, nameA().String(), []byte("content"))
	lock, err := os.Open(filepath.Join(d.Path(), ".lock"))
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := d.Remove(ctx, nameA()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("remove: %v, want that the time is over", err)
	}
	if got := in(t, d); !slices.Equal(got, []string{nameA().String()}) {
		t.Errorf("there are %q", got)
	}
	synctest.Test(t, func(t *testing.T) { // so that the wait takes no time
		err = d.Remove(t.Context(), nameA())
	})
	told := "another process has held it for 10s: `fuser -v " + lock.Name() + "` shows which: wait until it exits, or stop it"
	if !errors.Is(err, snapshot.ErrInUse) || err.Error() != "lock "+lock.Name()+": "+told {
		t.Errorf("remove: %v, want that it is in use", err)
	}
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_UN))
	must(t, d.Remove(t.Context(), nameA()))
}

func TestFree(t *testing.T) {
	const size = 8 << 20
	d := snapshot.NewDir(mountTmpfs(t, size))
	before, err := d.Free()
	must(t, err)
	put(t, d, "1MiB", bytes.Repeat([]byte{1}, 1<<20))
	after, err := d.Free()
	must(t, err)
	if before > size || before < size/2 || before-after != 1<<20 {
		t.Errorf("of %d bytes %d are free, after writing 1 MiB %d", size, before, after)
	}
	if _, err := snapshot.NewDir(filepath.Join(d.Path(), "missing")).Free(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}
