package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// The owner of a directory can replace what root writes there, and the owner of a link on its path can let it lead elsewhere.
func TestDirectoryOfAnotherUserIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		make func(dir, elsewhere string) error // dir exists, 0700 and root's; elsewhere does not
		use  string                            // below the directory of both
		want string                            // of the error; "": it is used
	}{
		"root's":                      {func(string, string) error { return nil }, "dir", ""},
		"another user's":              {func(dir, _ string) error { return os.Chown(dir, nobody, nobody) }, "dir", "belongs to user 65534"},
		"another user's, in a group":  {func(dir, _ string) error { return errors.Join(os.Chown(dir, nobody, 0), os.Chmod(dir, 0o750)) }, "dir", "belongs to user 65534"},
		"another user's, with sticky": {func(dir, _ string) error { return errors.Join(os.Chown(dir, nobody, 0), unix.Chmod(dir, 0o1777)) }, "dir", "belongs to user 65534"},
		"root's link":                 {func(dir, link string) error { return os.Symlink(dir, link) }, "link", ""},
		"another user's link":         {theirLink, "link", "link belongs to user 65534"},
		"a link to another user's link": {func(dir, link string) error {
			return errors.Join(theirLink(dir, link+"2"), os.Symlink("./link2", link))
		}, "link", "link2 belongs to user 65534"},
		"another user's link on the way": {func(dir, link string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o700), theirLink(dir, link))
		}, "link/sub", "link belongs to user 65534"},
		"a link up and down again": {func(dir, link string) error {
			return errors.Join(theirLink(dir, link+"2"), os.Symlink("link2/../dir", link))
		}, "link", "link2 belongs to user 65534"},
	} {
		t.Run(what, func(t *testing.T) {
			around := t.TempDir()
			dir := filepath.Join(around, "dir")
			must(t, os.Mkdir(dir, 0o700))
			must(t, c.make(dir, filepath.Join(around, "link")))
			err := snapshot.NewDir(filepath.Join(around, c.use)).Prepare()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case c.want != "" && (!errors.Is(err, snapshot.ErrUnusableDir) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
			if left := filesIn(t, dir); c.want != "" && len(left) > 0 && left[0] != "sub" {
				t.Errorf("left there: %q", left)
			}
		})
	}
}

func theirLink(dir, link string) error {
	return errors.Join(os.Symlink(dir, link), os.Lchown(link, nobody, nobody))
}

// Other users' files in a directory where they can create some, or could before, are not snapshots: latest would mean them. Files of the
// directory's owner are, and of all users where it belongs to a group: root restores on the node what a container has saved.
func TestPlantedSnapshotIsNoSnapshot(t *testing.T) {
	const other = 12345
	for what, c := range map[string]struct {
		owner, group int
		mode         uint32
		file         int // its owner
		want         bool
	}{
		"another user's in a directory like /tmp": {0, 0, 0o1777, nobody, false},
		"root's in a directory like /tmp":         {nobody, 0, 0o1777, 0, true},
		"another user's from before":              {0, 0, 0o755, nobody, false},
		"the owner's":                             {nobody, nobody, 0o700, nobody, true},
		"neither root's nor the owner's":          {nobody, nobody, 0o700, other, false},
		"a container's, with fsGroup":             {0, other, 0o2775, nobody, true},
	} {
		d := newDir(t)
		path := filepath.Join(d.Path(), nameA().String())
		must(t, os.WriteFile(path, golden(t), 0o600))
		must(t, os.WriteFile(path+".broken", golden(t), 0o600))
		must(t, errors.Join(os.Chown(path, c.file, c.file), os.Chown(path+".broken", c.file, c.file),
			os.Chown(d.Path(), c.owner, c.group), unix.Chmod(d.Path(), c.mode)))
		l, err := d.List()
		must(t, err)
		if got := len(l.Snapshots) == 1 && len(l.Broken) == 1; got != c.want || len(l.Foreign) == 0 == !c.want {
			t.Errorf("%s: snapshots %v, damaged %v, foreign %v", what, l.Snapshots, l.Broken, l.Foreign)
		}
	}
}

// A process that is not root uses its own directory, and one that it may use because of its group, whoever owns that.
func TestUserUsesItsOwnDirectoryOrThatOfItsGroup(t *testing.T) {
	const other = 12345
	for what, c := range map[string]struct {
		owner, group int
		mode         uint32
		want         string
	}{
		"its own":                      {nobody, nobody, 0o700, "used"},
		"of its group, root's":         {0, nobody, 0o2775, "used"},
		"of its group, another user's": {other, nobody, 0o2770, "used"},
		"like /tmp, root's":            {0, 0, 0o1777, "used"},
		"like /tmp, another user's":    {other, other, 0o1777, "refused"},
		"another user's":               {other, other, 0o755, "refused"},
	} {
		dir := filepath.Join(t.TempDir(), "snapshots")
		must(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)) // made by testing, for this test
		must(t, os.Mkdir(dir, 0o700))
		must(t, errors.Join(os.Chown(dir, c.owner, c.group), unix.Chmod(dir, c.mode)))
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestGroupChild$", "-test.v")
		cmd.Dir, cmd.Env = "/", append(os.Environ(), "PREPARE="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		must(t, err)
		if !strings.Contains(string(out), "it is "+c.want) {
			t.Errorf("%s: want that it is %s: %s", what, c.want, out)
		}
	}
}

// A name that somebody takes between the look at it and the rename is not replaced.
func TestReceivedSnapshotNeverReplacesAFile(t *testing.T) {
	dir := t.TempDir()
	part, err := snapshot.NewDir(dir).Create(t.Context(), nameA())
	must(t, err)
	taken := filepath.Join(dir, nameA().String())
	must(t, os.WriteFile(taken, []byte("another's"), 0o600))
	if err := snapshot.RenameNew(taken+".part", taken); !errors.Is(err, snapshot.ErrExists) {
		t.Errorf("a taken name: %v", err)
	}
	if text, err := os.ReadFile(taken); fmt.Sprint(string(text), err) != "another's<nil>" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	must(t, part.Abort())
}
