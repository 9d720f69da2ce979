package restore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const restoredLog = "0000000000000000-0000000000000000.wal"

// mounted mounts at a directory, which it creates, until the test ends.
func mounted(t testing.TB, source, dir, kind string, flags uintptr, options string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, unix.Mount(source, dir, kind, flags, options))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the test may have done it
}

// bound mounts a directory of disk, or a file in it, on one in the data directory, and moves there what it had. The disk is what
// the next boot mounts again at the same path.
func bound(t testing.TB, disk, path string) {
	t.Helper()
	from := filepath.Join(disk, filepath.Base(path))
	must(t, os.Rename(path, from))
	info, err := os.Stat(from)
	must(t, err)
	if info.IsDir() {
		must(t, os.Mkdir(path, 0o700))
	} else {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	must(t, unix.Mount(from, path, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// linked moves a directory or file to disk and leaves a link.
func linked(t testing.TB, disk, path string, relative bool) {
	t.Helper()
	to := filepath.Join(disk, filepath.Base(path))
	must(t, os.Rename(path, to))
	if relative {
		var err error
		to, err = filepath.Rel(filepath.Dir(path), to)
		must(t, err)
	}
	must(t, os.Symlink(to, path))
}

// places are a data directory with old data, and a directory that stands for another disk.
func places(t testing.TB) (data, disk string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	data, disk = dir+"/data", dir+"/disk"
	occupied(t, data)
	must(t, os.Mkdir(disk, 0o700))
	return data, disk
}

// Where the data is spread over mounts and links, all of it is exchanged where it really is. So what is mounted and linked stays, and
// etcd finds the restored data after the next boot too.
func TestRestoreGoesThroughLinksAndIntoMounts(t *testing.T) {
	in := given{data: database(t, 3)}
	for what, spread := range map[string]func(t *testing.T, data, disk string) (wal string){
		"member is a mount":      func(t *testing.T, data, disk string) string { bound(t, disk, data+"/member"); return "" },
		"member is a link":       func(t *testing.T, data, disk string) string { linked(t, disk, data+"/member", false); return "" },
		"wal is a link":          func(t *testing.T, data, disk string) string { linked(t, disk, data+"/member/wal", false); return "" },
		"wal is a relative link": func(t *testing.T, data, disk string) string { linked(t, disk, data+"/member/wal", true); return "" },
		"wal is a link, with --wal-dir": func(t *testing.T, data, disk string) string {
			linked(t, disk, data+"/member/wal", false)
			return disk + "/wal"
		},
		"wal is a link, --wal-dir too": func(t *testing.T, data, disk string) string {
			linked(t, disk, data+"/member/wal", false)
			return data + "/member/wal"
		},
		"snap is a link": func(t *testing.T, data, disk string) string { linked(t, disk, data+"/member/snap", true); return "" },
		"snap and wal are links": func(t *testing.T, data, disk string) string {
			linked(t, disk, data+"/member/snap", true)
			linked(t, disk, data+"/member/wal", false)
			return ""
		},
		"member is a mount, wal a link": func(t *testing.T, data, disk string) string {
			linked(t, disk, data+"/member/wal", false)
			bound(t, disk, data+"/member")
			return ""
		},
		"member and wal are links": func(t *testing.T, data, disk string) string {
			linked(t, disk, data+"/member/wal", false)
			linked(t, disk, data+"/member", false)
			return ""
		},
		"data is a link": func(t *testing.T, data, disk string) string {
			linked(t, disk, data+"/member/wal", false)
			linked(t, disk, data, false)
			return ""
		},
		"data is a mount": func(t *testing.T, data, disk string) string { bound(t, disk, data); return "" },
	} {
		t.Run(what, func(t *testing.T) {
			data, disk := places(t)
			wal := spread(t, data, disk)
			links := whichLinks(t, data)
			_, err := restored(t, in, Options{DataDir: data, WALDir: wal})
			refused(t, "without --replace", err, ErrOccupied)
			p, err := restored(t, in, Options{DataDir: data, WALDir: wal, Replace: true})
			must(t, err)
			wantData(t, data, false)
			wantNames(t, data+"/member/wal", restoredLog)
			if got := whichLinks(t, data); got != links {
				t.Errorf("links were %s and are %s", links, got)
			}
			// The way back that is printed.
			for _, m := range p.Aside {
				must(t, os.Rename(m.From, m.From+".unwanted"))
				must(t, os.Rename(m.To, m.From))
			}
			wantData(t, data, true)
			wantNames(t, data+"/member/wal", "0.wal")
		})
	}
}

// whichLinks are the links among etcd's directories.
func whichLinks(t testing.TB, data string) string {
	t.Helper()
	var links []string
	for _, name := range []string{"", "/member", "/member/wal", "/member/snap"} {
		if to, err := os.Readlink(data + name); err == nil {
			links = append(links, name+" -> "+to)
		}
	}
	return strings.Join(links, ", ")
}

// New disks with nothing but their lost+found, and links to empty directories on them, are filled without --replace.
func TestRestoreFillsEmptyMountsAndLinks(t *testing.T) {
	data, disk := places(t)
	must(t, os.RemoveAll(data+"/member"))
	mounted(t, "tmpfs", data+"/member", "tmpfs", 0, "size=400m,mode=700")
	must(t, os.Mkdir(data+"/member/lost+found", 0o700))
	must(t, os.Mkdir(disk+"/wal", 0o700))
	must(t, os.Symlink(disk+"/wal", data+"/member/wal"))
	_, err := restored(t, given{data: database(t, 3)}, Options{DataDir: data})
	must(t, err)
	wantData(t, data, false)
	wantNames(t, data+"/member", "lost+found snap wal")
	wantNames(t, disk+"/wal", restoredLog)
}

// A log that --wal-dir moves elsewhere leaves the one behind the link alone.
func TestWALDirElsewhereLeavesALinkedLogAlone(t *testing.T) {
	data, disk := places(t)
	linked(t, disk, data+"/member/wal", false)
	_, err := restored(t, given{data: database(t, 3)}, Options{DataDir: data, WALDir: disk + "/new", Replace: true})
	must(t, err)
	wantData(t, data, false)
	wantNames(t, data+"/member", "snap snap"+aside+" wal")
	wantNames(t, disk, "new wal")
	wantNames(t, disk+"/wal", "0.wal")
}

// What can't be exchanged is refused before anything is touched, and the remedy works.
func TestRestoreRefusesMountsAndLinksWithARemedy(t *testing.T) {
	in := given{data: database(t, 3)}
	for what, x := range map[string]struct {
		spread func(t *testing.T, data, disk string)
		words  string
		remedy string // for a shell; "printed" is the command in the message, with the disk where the message has an example
	}{
		"wal is a mount": {
			func(t *testing.T, data, disk string) { bound(t, disk, data+"/member/wal") },
			"/member/wal is a mount point", "umount data/member/wal; printed",
		},
		"snap is a mount": {
			func(t *testing.T, data, disk string) { bound(t, disk, data+"/member/snap") },
			"/member/snap is a mount point", "umount data/member/snap; printed",
		},
		"db is a mount": {
			func(t *testing.T, data, disk string) { bound(t, disk, data+"/member/snap/db") },
			"/member/snap/db is a mount point: unmount it", "umount data/member/snap/db",
		},
		"member and wal are mounts": {
			func(t *testing.T, data, disk string) {
				bound(t, disk, data+"/member")
				must(t, exec.Command("sh", "-c", `mkdir -m 700 "$2/wal" && mv "$1"/member/wal/* "$2/wal/" && mount --bind "$2/wal" "$1/member/wal"`, "sh", data, disk).Run())
				t.Cleanup(func() { _ = unix.Unmount(data+"/member/wal", unix.MNT_DETACH) })
			},
			"/member/wal is a mount point", "umount data/member/wal; printed",
		},
		"wal leads to a mount": {
			func(t *testing.T, data, disk string) {
				linked(t, disk, data+"/member/wal", true)
				must(t, unix.Mount(disk+"/wal", disk+"/wal", "", unix.MS_BIND, ""))
				t.Cleanup(func() { _ = unix.Unmount(disk+"/wal", unix.MNT_DETACH) })
			},
			"leads to the mount point", "printed",
		},
		"db is a link": {
			func(t *testing.T, data, disk string) { linked(t, disk, data+"/member/snap/db", false) },
			"/member/snap/db is a symbolic link, which the restored data would replace", "mv -T disk/db data/member/snap/db",
		},
		"a dangling member": {
			func(t *testing.T, data, disk string) {
				linked(t, disk, data+"/member", false)
				must(t, os.Rename(disk, disk+"2"))
			},
			"/member is a symbolic link that leads nowhere", "mv disk2 disk",
		},
		"a dangling wal": {
			func(t *testing.T, data, disk string) {
				linked(t, disk, data+"/member/wal", false)
				must(t, os.Rename(disk, disk+"2"))
			},
			"/member/wal is a symbolic link that leads nowhere", "mv disk2 disk",
		},
		"a dangling snap": {
			func(t *testing.T, data, disk string) {
				linked(t, disk, data+"/member/snap", true)
				must(t, os.Rename(disk, disk+"2"))
			},
			"/member/snap is a symbolic link that leads nowhere", "mv disk2 disk",
		},
		"a dangling db": {
			func(t *testing.T, data, disk string) {
				must(t, os.Remove(data+"/member/snap/db"))
				must(t, os.Symlink("no", data+"/member/snap/db"))
			},
			"/member/snap/db is a symbolic link that leads nowhere", "rm data/member/snap/db",
		},
		"member can't be changed": {
			func(t *testing.T, data, _ string) {
				must(t, exec.Command("chattr", "+i", data+"/member").Run())
				t.Cleanup(func() { _ = exec.Command("chattr", "-i", data+"/member").Run() })
			},
			"/member can't be renamed: rename", "chattr -i data/member",
		},
	} {
		t.Run(what, func(t *testing.T) {
			data, disk := places(t)
			x.spread(t, data, disk)
			before := listing(t, filepath.Dir(data))
			o := Options{DataDir: data, Replace: true}
			_, err := Check(t.Context(), o, noon)
			refused(t, what, err, ErrTarget, x.words)
			if got := listing(t, filepath.Dir(data)); got != before {
				t.Errorf("there was %s, and there is %s", before, got)
			}
			_, printed, _ := strings.Cut(err.Error(), "and link to that: ")
			for _, name := range []string{"wal", "snap"} {
				printed = strings.ReplaceAll(printed, "/mnt/etcd-"+name, filepath.Join(disk, name))
			}
			old := textOf(t, data+"/member/snap/db")
			shell := exec.Command("sh", "-c", strings.ReplaceAll(x.remedy, "printed", printed))
			shell.Dir = filepath.Dir(data)
			if out, err := shell.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", shell, err, out)
			}
			if strings.HasSuffix(x.remedy, "printed") { // etcd could still start on the old data
				if now := textOf(t, data+"/member/snap/db"); now != old {
					t.Error("the remedy took the old database away")
				}
				if logs, err := filepath.Glob(data + "/member/wal/*.wal"); err != nil || len(logs) == 0 {
					t.Errorf("the remedy took the old log away: %v", err)
				}
			}
			_, err = restored(t, in, o)
			must(t, err)
			wantData(t, data, false)
			wantNames(t, data+"/member/wal", restoredLog)
		})
	}
}

// textOf a file that may be missing.
func textOf(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		must(t, err)
	}
	return string(data)
}

func listing(t testing.TB, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-type", "d", "-printf", "%P %m\n", "-o", "-printf", "%P %y %m %l %s\n").CombinedOutput()
	must(t, err)
	return string(out)
}
