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

// What exists before and after, for each kind of target.
func TestRestoreKeepsOrMovesExistingData(t *testing.T) {
	in := given{data: database(t, 3)}
	for _, x := range []struct {
		what  string
		make  func(dir string)
		o     Options
		err   error
		names string // in the directory, afterwards
	}{
		{"new", func(string) {}, Options{}, nil, "data"},
		{"empty", func(dir string) { must(t, os.Mkdir(dir+"/data", 0o755)) }, Options{}, nil, "data"},
		{"empty, --replace", func(dir string) { must(t, os.Mkdir(dir+"/data", 0o755)) }, Options{Replace: true}, nil, "data"},
		{"full", func(dir string) { occupied(t, dir+"/data") }, Options{}, ErrOccupied, "data"},
		{"full, --replace", func(dir string) { occupied(t, dir+"/data") }, Options{Replace: true}, nil, "data data" + aside},
		{"aside is taken", func(dir string) { occupied(t, dir+"/data"+aside); occupied(t, dir+"/data") }, Options{Replace: true}, ErrOccupied, "data data" + aside},
		{"a link", func(dir string) { occupied(t, dir+"/real"); must(t, os.Symlink("real", dir+"/data")) }, Options{Replace: true}, nil, "data real real" + aside},
		{"a dangling link", func(dir string) { must(t, os.Symlink("nowhere", dir+"/data")) }, Options{Replace: true}, ErrTarget, "data"},
		{"a link in a circle", func(dir string) { must(t, os.Symlink("data", dir+"/data")) }, Options{Replace: true}, ErrTarget, "data"},
		{"a file", func(dir string) { must(t, os.WriteFile(dir+"/data", nil, 0o600)) }, Options{Replace: true}, ErrTarget, "data"},
		{"half of --bump-revision", func(string) {}, Options{BumpRevision: 1}, ErrCluster, ""},
		{"half of --mark-compacted", func(string) {}, Options{MarkCompacted: true}, ErrCluster, ""},
	} {
		dir := t.TempDir()
		x.make(dir)
		x.o.DataDir = dir + "/data"
		_, err := restored(t, in, x.o)
		if x.err != nil {
			refused(t, x.what, err, x.err)
		} else {
			must(t, err)
			wantData(t, x.o.DataDir, false)
		}
		wantNames(t, dir, x.names)
	}
}

// A write-ahead log elsewhere is moved aside and restored like the data.
func TestWALDir(t *testing.T) {
	in := given{data: database(t, 3)}
	dir := t.TempDir()
	o := Options{DataDir: dir + "/data", WALDir: dir + "/wal"}
	for _, replace := range []bool{false, true} {
		o.Replace = replace
		p, err := restored(t, in, o)
		must(t, err)
		wantNames(t, o.DataDir, "member")
		wantNames(t, o.DataDir+"/member", "snap")
		wantNames(t, o.WALDir, "0000000000000000-0000000000000000.wal")
		if replace != (len(p.Aside) == 2) {
			t.Errorf("moved aside: %v", p.Aside)
		}
	}
	wantNames(t, dir, "data data"+aside+" wal wal"+aside)
	for _, wal := range []string{dir + "/data/wal", dir + "/data", dir} {
		_, err := restored(t, in, Options{DataDir: dir + "/data", WALDir: wal, Replace: true})
		refused(t, wal, err, ErrTarget, " is inside ")
	}
	// Without --wal-dir the old log would overwrite the restored data.
	elsewhere := dir + "/elsewhere"
	occupied(t, elsewhere)
	must(t, os.Remove(elsewhere+"/member/wal"))
	_, err := restored(t, in, Options{DataDir: elsewhere, Replace: true})
	refused(t, "log elsewhere", err, ErrTarget, "set --wal-dir to that")
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
	refused(t, "stopped", p.Run(ctx), broken)
	// Another process fills the target between the plan and its run.
	must(t, os.Mkdir(p.Aside[0].To, 0o700))
	must(t, os.WriteFile(p.Aside[0].To+"/file", nil, 0o600))
	if err := p.Run(t.Context()); err == nil {
		t.Error("a directory that was there was replaced")
	}
	must(t, p.Close())
	must(t, p.Close())
	wantNames(t, dir, "data data"+aside)
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
	err := install([]change{{path("a"), path("b"), path("b2")}, {path("c"), path("full"), ""}})
	refused(t, "second", err, unix.ENOTDIR)
	wantNames(t, dir, "a b c full")
	wantNames(t, path("b"), "old")
	must(t, install([]change{{path("a"), path("b"), path("b2")}, {path("c"), path("d"), ""}}))
	wantNames(t, dir, "b b2 d full")
	wantNames(t, path("b"), "new")
	wantNames(t, path("b2"), "old")
	// As on a file system that cannot exchange names in one step.
	must(t, exchangeSlowly(path("b"), path("b2")))
	wantNames(t, path("b"), "old")
	refused(t, "no partner", exchangeSlowly(path("b"), path("gone")), unix.ENOENT)
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
