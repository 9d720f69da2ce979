package restore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// What exists before and after, for each kind of target. Only "member" is exchanged.
func TestRestoreKeepsOrMovesExistingData(t *testing.T) {
	in := given{data: database(t, 3)}
	make := func(names ...string) func(dir string) {
		return func(dir string) {
			for _, name := range names {
				switch {
				case strings.HasPrefix(name, "member"):
					occupied(t, dir)
					if name != "member" {
						must(t, os.Rename(dir+"/member", dir+"/"+name))
					}
				default:
					must(t, os.MkdirAll(dir+"/"+name, 0o755))
				}
			}
		}
	}
	for _, x := range []struct {
		what  string
		make  func(dir string)
		o     Options
		err   error
		names string // in the directory, afterwards
		stays string
	}{
		{"new", func(string) {}, Options{}, nil, "member", ""},
		{"empty", make(""), Options{}, nil, "member", ""},
		{"empty, --replace", make(""), Options{Replace: true}, nil, "member", ""},
		{"empty member", func(dir string) { must(t, os.MkdirAll(dir+"/member", 0o700)) }, Options{}, nil, "member", ""},
		{"other files", make("ssl", "config"), Options{}, nil, "config member ssl", "config ssl"},
		{"full", make("ssl", "member"), Options{}, ErrOccupied, "member ssl", ""},
		{"full, --replace", make("ssl", "member.restore-7", "member"), Options{Replace: true}, nil, "member member" + aside + " member.restore-7 ssl", "ssl"},
		{"aside is taken", make("member"+aside, "member"), Options{Replace: true}, ErrOccupied, "member member" + aside, ""},
		{"member itself", func(dir string) { occupied(t, dir); must(t, os.Rename(dir+"/member/snap", dir+"/snap")) }, Options{Replace: true}, ErrTarget, "member snap", ""},
	} {
		dir := t.TempDir() + "/data"
		x.make(dir)
		x.o.DataDir = dir
		p, err := restored(t, in, x.o)
		if x.err != nil {
			refused(t, x.what, err, x.err)
		} else {
			must(t, err)
			wantData(t, dir, false)
			if got := strings.Join(p.Stays, " "); got != x.stays {
				t.Errorf("%s: %q stays, want %q", x.what, got, x.stays)
			}
		}
		wantNames(t, dir, x.names)
		wantNames(t, filepath.Dir(dir), "data")
	}
}

// What is no data directory is refused, and so are flags that need each other.
func TestRestoreRefusesWhatIsNoDataDirectory(t *testing.T) {
	for _, x := range []struct {
		what string
		make func(path string)
		o    Options
		err  error
	}{
		{"a dangling link", func(path string) { must(t, os.Symlink("nowhere", path)) }, Options{Replace: true}, ErrTarget},
		{"a link in a circle", func(path string) { must(t, os.Symlink("data", path)) }, Options{Replace: true}, ErrTarget},
		{"a file", func(path string) { must(t, os.WriteFile(path, nil, 0o600)) }, Options{Replace: true}, ErrTarget},
		{"half of --bump-revision", func(string) {}, Options{BumpRevision: 1}, ErrCluster},
		{"half of --mark-compacted", func(string) {}, Options{MarkCompacted: true}, ErrCluster},
	} {
		dir := t.TempDir()
		x.make(dir + "/data")
		before := names(t, dir)
		x.o.DataDir = dir + "/data"
		_, err := restored(t, given{data: database(t, 3)}, x.o)
		refused(t, x.what, err, x.err)
		wantNames(t, dir, before)
	}
}

// A data directory that exists keeps its owner and mode, unless --chown says whose it is. A missing one gets them from the restore.
func TestDataDirectoryKeepsOwnerAndMode(t *testing.T) {
	in := given{data: database(t, 3)}
	for _, x := range []struct {
		what   string
		exists bool
		owner  *Owner
		dir    Owner
		member Owner
		mode   os.FileMode
	}{
		{"existing", true, nil, Owner{11, 12}, Owner{11, 12}, 0o750},
		{"existing, --chown", true, &Owner{21, 22}, Owner{21, 22}, Owner{21, 22}, 0o750},
		{"missing", false, nil, Owner{0, 0}, Owner{0, 0}, 0o700},
		{"missing, --chown", false, &Owner{21, 22}, Owner{21, 22}, Owner{21, 22}, 0o700},
	} {
		dir := t.TempDir() + "/data"
		if x.exists {
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.Chmod(dir, 0o750))
			must(t, os.Chown(dir, 11, 12))
		}
		_, err := restored(t, in, Options{DataDir: dir, Owner: x.owner})
		must(t, err)
		info, err := os.Stat(dir)
		must(t, err)
		got, err := ownerOf(dir)
		must(t, err)
		member, err := ownerOf(dir + "/member")
		must(t, err)
		if got != x.dir || member != x.member || info.Mode().Perm() != x.mode {
			t.Errorf("%s: %s %o with member of %s, want %s %o with member of %s", x.what, got, info.Mode().Perm(), member, x.dir, x.mode, x.member)
		}
	}
}

// A write-ahead log elsewhere is moved aside and restored like the data. It may be in the data directory, but not in "member".
func TestWALDir(t *testing.T) {
	in := given{data: database(t, 3)}
	dir := t.TempDir()
	for _, wal := range []string{dir + "/wal", dir + "/data/wal"} {
		o := Options{DataDir: dir + "/data", WALDir: wal}
		for _, replace := range []bool{false, true} {
			o.Replace = replace
			if !replace {
				must(t, os.RemoveAll(o.DataDir))
				must(t, os.Mkdir(o.DataDir, 0o700))
			}
			p, err := restored(t, in, o)
			must(t, err)
			wantNames(t, o.DataDir+"/member", "snap")
			wantNames(t, wal, "0000000000000000-0000000000000000.wal")
			if replace != (len(p.Aside) == 2) || len(p.Stays) > 0 {
				t.Errorf("moved aside: %v; stays: %v", p.Aside, p.Stays)
			}
		}
		wantNames(t, filepath.Dir(wal), strings.TrimSpace(map[bool]string{true: "data "}[wal == dir+"/wal"]+
			map[bool]string{true: "member member" + aside + " "}[wal != dir+"/wal"])+" wal wal"+aside)
	}
	for _, wal := range []string{dir + "/data/member/log", dir + "/data/member", dir + "/data", dir} {
		_, err := restored(t, in, Options{DataDir: dir + "/data", WALDir: wal, Replace: true})
		refused(t, wal, err, ErrTarget, " is inside ")
	}
	// Without --wal-dir the old log would overwrite the restored data: it is elsewhere, or its disk is not mounted.
	elsewhere := dir + "/elsewhere"
	occupied(t, elsewhere)
	for _, gone := range []string{"/member/wal/0.wal", "/member/wal"} {
		must(t, os.Remove(elsewhere+gone))
		_, err := restored(t, in, Options{DataDir: elsewhere, Replace: true})
		refused(t, "log elsewhere", err, ErrTarget, "set --wal-dir to that")
	}
}

// A mount point cannot be renamed, but etcd's directory in it can. A write-ahead log needs its own directory.
func TestRestoreIntoMountPointRenamesMember(t *testing.T) {
	in := given{data: database(t, 3)}
	mount := t.TempDir()
	must(t, unix.Mount("tmpfs", mount, "tmpfs", 0, "size=400m,mode=755"))
	t.Cleanup(func() { must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	must(t, os.Mkdir(mount+"/lost+found", 0o700))
	for _, o := range []Options{{}, {Replace: true}} {
		o.DataDir = mount
		_, err := restored(t, in, o)
		must(t, err)
		wantData(t, mount, false)
	}
	wantNames(t, mount, "lost+found member member"+aside)
	_, err := restored(t, in, Options{DataDir: mount})
	refused(t, "full", err, ErrOccupied)
	_, err = restored(t, in, Options{DataDir: t.TempDir() + "/data", WALDir: mount})
	refused(t, "wal", err, ErrTarget, "is a mount point")

	// With a separate file system for the log, its space is checked separately.
	_, err = restored(t, in, Options{DataDir: t.TempDir() + "/data", WALDir: mount + "/wal"})
	must(t, err)
	must(t, os.WriteFile(mount+"/filler", make([]byte, 100<<20), 0o600))
	_, err = restored(t, in, Options{DataDir: t.TempDir() + "/data", WALDir: mount + "/wal2"})
	refused(t, "no room for the log", err, ErrNoSpace, "set --wal-dir to a directory on another disk")
}

// A restore that fails before the renames leaves nothing.
func TestFailedRestoreLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	occupied(t, dir+"/data")
	o := Options{DataDir: dir + "/data", Replace: true, Size: -1}
	broken := errors.New("broken")
	good := database(t, 3)
	for what, x := range map[string]struct {
		in  given
		err error
	}{
		"unpacking fails":  {given{good, broken}, broken},
		"no database":      {given{[]byte("nothing of the kind"), nil}, snapshot.ErrDamaged},
		"a torn database":  {given{append(good[:8192:8192], make([]byte, 8192)...), nil}, snapshot.ErrDamaged},
		"an empty one":     {given{nil, nil}, snapshot.ErrDamaged},
		"cut in the midst": {given{good[:3*4096], nil}, snapshot.ErrDamaged},
	} {
		_, err := restored(t, x.in, o)
		refused(t, what, err, x.err)
	}
	huge := o
	huge.Size = 1 << 60
	_, err := restored(t, given{data: good}, huge)
	refused(t, "too large", err, ErrNoSpace, "EiB")

	p, err := Prepare(t.Context(), given{data: good}, o, noon)
	must(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	_, err = p.Run(ctx)
	refused(t, "stopped", err, broken)
	// Another process fills the target between the plan and its run.
	must(t, os.Mkdir(p.Aside[0].To, 0o700))
	must(t, os.WriteFile(p.Aside[0].To+"/file", nil, 0o600))
	if _, err := p.Run(t.Context()); err == nil {
		t.Error("a directory that was there was replaced")
	}
	p.Close()
	wantNames(t, dir, "data")
	wantNames(t, dir+"/data", "member member"+aside)
	wantNames(t, p.Aside[0].To, "file")
	wantData(t, dir+"/data", true)
}

// A rename that fails undoes those before it.
func TestRenamesAreUndone(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.Mkdir(path(name), 0o700))
	}
	must(t, os.WriteFile(path("full"), nil, 0o600))
	must(t, os.WriteFile(path("a/new"), nil, 0o600))
	must(t, os.WriteFile(path("b/old"), nil, 0o600))
	f, err := openDir(dir)
	must(t, err)
	defer f.Close()
	here := &stage{parent: f, lock: f}
	err = install([]change{{here, "a", "b", "b2"}, {here, "c", "full", ""}})
	refused(t, "second", err, unix.ENOTDIR)
	wantNames(t, dir, "a b c full")
	wantNames(t, path("b"), "old")
	must(t, install([]change{{here, "a", "b", "b2"}, {here, "c", "d", ""}}))
	wantNames(t, dir, "b b2 d full")
	wantNames(t, path("b"), "new")
	wantNames(t, path("b2"), "old")
	// As on a file system that cannot exchange names in one step.
	must(t, exchangeSlowly(f, "b", "b2"))
	wantNames(t, path("b"), "old")
	refused(t, "no partner", exchangeSlowly(f, "b", "gone"), unix.ENOENT)
	wantNames(t, path("b"), "old")
}

// A mapping of a file that was truncated faults like one on a failed disk. This ends the restore, not the process.
func TestFaultUnderTheMapping(t *testing.T) {
	dir := t.TempDir()
	good := database(t, 3)
	must(t, os.WriteFile(dir+"/db", good[:3*4096], 0o600))
	one, err := Identity{Name: "a"}.cluster(nil)
	must(t, err)
	err = run(etcdutl.RestoreConfig{
		SnapshotPath: dir + "/db", SkipHashCheck: true, Name: one.Name, InitialCluster: one.Initial(),
		InitialClusterToken: "token", PeerURLs: one.URLs(), OutputDataDir: dir + "/data",
	}, true)
	if err == nil || !strings.Contains(err.Error(), "etcd's library gave up: ") {
		t.Errorf("%v, want that the library gave up", err)
	}
}
