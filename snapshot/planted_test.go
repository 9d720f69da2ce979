package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// planted are things that another user may have put under a name of ours, with what the error says of them. target is a file of root.
func planted(target string) map[string]func(path string) error {
	return map[string]func(string) error{
		"a symbolic link":              func(path string) error { return os.Symlink(target, path) },
		"a symbolic link to nothing":   func(path string) error { return os.Symlink(target+".new", path) },
		"a symbolic link to /dev/zero": func(path string) error { return os.Symlink("/dev/zero", path) },
		"a pipe":                       func(path string) error { return unix.Mkfifo(path, 0o666) },
		"a device":                     func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"a directory":                  func(path string) error { return os.Mkdir(path, 0o777) },
		"another user's file": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o666), os.Chown(path, nobody, nobody))
		},
	}
}

// What is planted under a name of ours is never followed, read without end or waited for. The state is written all the same where the
// name can be replaced.
func TestPlantedNamesAreNotFollowed(t *testing.T) {
	const note = ".status_node-a.json"
	for what := range planted("") {
		for _, name := range []string{".lock", note, note + ".part", nameA().String(), nameA().String() + ".part"} {
			t.Run(what+" as "+name, func(t *testing.T) {
				elsewhere := t.TempDir()
				target := filepath.Join(elsewhere, "secret")
				must(t, os.WriteFile(target, []byte("{}"), 0o640))
				d := snapshot.NewDir(filepath.Join(t.TempDir(), "snapshots"))
				must(t, os.Mkdir(d.Path(), 0o700))
				must(t, planted(target)[what](filepath.Join(d.Path(), name)))

				prepared := d.Prepare()
				if refused := prepared != nil; refused != (name == ".lock") {
					t.Errorf("prepare: %v", prepared)
				}
				var read map[string]any
				err := d.ReadNote(note, &read)
				if refused := err != nil; refused != (name == note) {
					t.Errorf("read: %v", err)
				}
				written := d.KeepNote(note, map[string]int{"a": 1})
				if impossible := what == "a directory" && name == note; (written != nil) != impossible {
					t.Errorf("write: %v", written)
				}
				if f, err := d.File(nameA()); err == nil {
					must(t, f.Close())
					if what != "another user's file" {
						t.Error("an archive was opened")
					}
				}
				_, partials := d.RemovePartials(t.Context())
				if strings.HasPrefix(what, "a symbolic link") && (partials != nil) != (name == ".lock") {
					t.Errorf("remove partials: %v", partials)
				}
				for _, err := range []error{prepared, err, written} {
					if err != nil && strings.Contains(err.Error(), "\n") {
						t.Errorf("more than a line: %q", err)
					}
				}
				if got := filesIn(t, elsewhere); len(got) != 1 {
					t.Errorf("elsewhere there is %q", got)
				}
				text, err := os.ReadFile(target)
				must(t, err)
				info, err := os.Stat(target)
				must(t, err)
				if string(text) != "{}" || info.Mode().Perm() != 0o640 {
					t.Errorf("the file elsewhere is %q with mode %s", text, info.Mode())
				}
			})
		}
	}
}

// A note of a size that none has is not read.
func TestHugeNoteIsRefused(t *testing.T) {
	d := newDir(t)
	must(t, os.WriteFile(filepath.Join(d.Path(), "note"), nil, 0o600))
	must(t, os.Truncate(filepath.Join(d.Path(), "note"), 1<<40))
	var v any
	if err := d.ReadNote("note", &v); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("a note of 1 TiB: %v", err)
	}
}

// When the disk is full a note is overwritten, but not if it is also a file elsewhere.
func TestLinkedNoteIsNotOverwritten(t *testing.T) {
	d := snapshot.NewDir(filepath.Join(mountTmpfs(t, 1<<20), "snapshots"))
	must(t, d.Prepare())
	elsewhere := filepath.Join(filepath.Dir(d.Path()), "elsewhere")
	must(t, os.WriteFile(elsewhere, []byte("root's"), 0o600))
	must(t, os.Link(elsewhere, filepath.Join(d.Path(), "note")))
	if err := os.WriteFile(filepath.Join(d.Path(), "filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := d.KeepNote("note", 1); err == nil {
		t.Error("the note was written")
	}
	text, err := os.ReadFile(elsewhere)
	must(t, err)
	if string(text) != "root's" {
		t.Errorf("the file elsewhere is %q", text)
	}
}

// Only a directory in which others can't replace files is used.
func TestDirectoryThatOthersCanWriteIsRefused(t *testing.T) {
	for mode, want := range map[fs.FileMode]bool{
		0o700: true, 0o750: true, 0o755: true, 0o770: false, 0o775: false, 0o702: false, 0o777: false,
		fs.ModeSticky | 0o777: true, fs.ModeSticky | 0o755: true, fs.ModeSetgid | 0o775: false,
	} {
		d := snapshot.NewDir(filepath.Join(t.TempDir(), "snapshots"))
		must(t, os.Mkdir(d.Path(), 0o700))
		must(t, os.Chmod(d.Path(), mode))
		if err := d.Prepare(); (err == nil) != want || err != nil && !errors.Is(err, snapshot.ErrUnusableDir) {
			t.Errorf("mode %s: %v, want that it works: %t", mode, err, want)
		}
	}
}

// A process that is not the owner may need the group's right to write, as in a volume of Kubernetes.
func TestDirectoryOfTheGroupIsUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	must(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)) // made by testing, for this test
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chown(dir, 0, nobody))
	for mode, want := range map[fs.FileMode]string{fs.ModeSetgid | 0o770: "used", fs.ModeSetgid | 0o777: "refused"} {
		must(t, os.Chmod(dir, mode))
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestGroupChild$", "-test.v")
		cmd.Dir, cmd.Env = "/", append(os.Environ(), "PREPARE="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		must(t, err)
		if !strings.Contains(string(out), "it is "+want) {
			t.Errorf("mode %s: want that it is %s: %s", mode, want, out)
		}
	}
}

// TestGroupChild is the process of another user.
func TestGroupChild(t *testing.T) {
	dir := os.Getenv("PREPARE")
	if dir == "" {
		return // run as a test it has nothing to do
	}
	d := snapshot.NewDir(dir)
	if err := d.Prepare(); err != nil {
		t.Logf("it is refused: %v", err)
		return
	}
	t.Log("it is used")
}
